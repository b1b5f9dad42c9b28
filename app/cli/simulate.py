"""``switchyard simulate``: the simulated providers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.core.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command()(simulate)


def simulate(
    fleet: Annotated[Path, typer.Option(help="Fleet file whose limits, prices and models are simulated.")],
    weather: Annotated[Path | None, typer.Option(help="Weather file; none: fair weather.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one, printed as 'ready PORT'.")] = 0,
    seed: Annotated[int, typer.Option(help="Same seed, same answers and latencies.")] = 0,
    latency_ms: Annotated[float, typer.Option(min=0, help="Median latency where the weather names none.")] = 200.0,
) -> None:
    """Serve a simulated fleet on loopback until Ctrl-C."""
    from app.simulator.server import run

    try:
        run(fleet, weather, port, seed=seed, latency_ms=latency_ms)
    except OSError as error:
        raise UsageError(
            f"{error.filename or fleet}: {error.strerror or error}", hint="fleet.demo.toml is one to try"
        ) from None
    except KeyError as error:
        raise UsageError(f"the fleet file lacks the key {error}") from None
    except ValueError as error:  # TOMLDecodeError and WeatherError are ValueErrors
        raise UsageError(str(error), hint=f"so says {fleet}" + (f" or {weather}" if weather else "")) from None
