"""Commands that run processes: up, down, worker, beat, flower, migrate."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import psutil
import typer

from app.core.errors import ServiceMissing, UsageError
from app.settings import Settings

if TYPE_CHECKING:
    from app.cli.supervisor import Supervisor

_READY_S = 60.0
_STOP_S = 40.0
_FIRST_CHECK_S = 5.0


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(down)
    app.command()(worker)
    app.command()(beat)
    app.command()(flower)
    app.command()(migrate)


def up(
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once it is ready; stop it with switchyard down.")
    ] = False,
    with_flower: Annotated[bool, typer.Option("--flower/--no-flower", help="Start Flower too.")] = True,
) -> None:
    """Run the whole yard on this machine until Ctrl-C."""
    from app.cli.servers import load

    settings = load()
    home = settings.home.absolute()
    if settings.fleet is None:
        raise UsageError("no fleet file", hint="set SWITCHYARD_FLEET, or copy fleet.example.toml to fleet.toml")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (running := _running(home)) is not None:
        raise UsageError(f"a yard is already running in {home} (process {running})", hint="stop it: switchyard down")
    if detach:
        _detached(home, with_flower)
        return
    _up(settings, home, with_flower)


def _up(settings: Settings, home: Path, with_flower: bool) -> None:
    from app import logs
    from app.cli.supervisor import Supervisor
    from app.embedded import Embedded
    from app.ledger import migrate as migrations
    from app.registry.fleet import FleetFile
    from app.registry.paperfile import PaperFile
    from tasks import worker as workers

    assert settings.fleet is not None
    fleet = FleetFile(settings.fleet)
    fleet.current()
    if settings.newspaper is not None:
        PaperFile(settings.newspaper).current()
    logs.configure()
    logs_in = home / "logs"
    logs_in.mkdir(exist_ok=True, mode=0o700)
    embedded = Embedded(home, postgres=settings.database_url is None, redis=settings.redis_url is None)
    with _stopped_by_signals() as heed, embedded as servers:
        urls = servers.start()
        settings = settings.model_copy(update=_found(settings, urls))
        assert settings.database_url is not None
        migrations.upgrade(settings.database_url.get_secret_value())
        supervisor = Supervisor(settings, logs_in)
        try:
            supervisor.add("control", lambda ready: workers.serve_control(settings, ready))
            supervisor.add("ledger", lambda ready: workers.serve_ledger(settings, ready))
            if settings.newspaper is not None:
                supervisor.add("press", lambda ready: workers.serve_press(settings, ready))
            supervisor.serve_fleet(fleet)
            supervisor.add("beat", _announcing(lambda: workers.beat(settings)))
            if with_flower:
                password = flower_password(home)
                supervisor.add("flower", _announcing(lambda: workers.flower(settings, password)))
            heed()
            slow = supervisor.wait_ready(_READY_S)
            heed()
            if slow and not supervisor.stopping:
                raise ServiceMissing(f"not ready after {_READY_S:.0f} s: {', '.join(slow)}", hint=f"see {logs_in}")
            _first_health_check(settings, supervisor)
            heed()
            _announce(settings, home, len(supervisor.children), with_flower)
            _record(home, {child.name: child.pid for child in supervisor.children.values()})
            supervisor.watch()
        finally:
            supervisor.stop()
            (home / "up.json").unlink(missing_ok=True)


def _found(settings: Settings, urls: Any) -> dict[str, Any]:
    """The URLs of the embedded servers, where none was set."""
    from pydantic import SecretStr

    from app.settings import Settings as Model

    found: dict[str, Any] = {}
    if settings.database_url is None:
        found["database_url"] = Model(database_url=SecretStr(urls.database_url)).database_url
    if settings.redis_url is None:
        found["redis_url"] = SecretStr(urls.redis_url)
    return found


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[Callable[[], None]]:
    """Until the supervisor watches, a signal ends the start in an orderly way: where it falls, or, if that is a place
    where Python drops what is raised (a hook around a fork), at the next call of what is yielded."""
    asked = False

    def end(*_: object) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    def heed() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield heed
    finally:
        signal.signal(signal.SIGTERM, before)


def _announcing(run: Any) -> Any:
    """For processes that know no moment of readiness: they are ready once they run."""

    def child(ready: Any) -> int:
        ready(f"pid-{os.getpid()}")
        run()
        return 0

    return child


def _first_health_check(settings: Settings, supervisor: Supervisor) -> None:
    """Ring for it and give it a moment: until somebody may be seated there is nothing to dispatch to."""
    from sqlalchemy import NullPool, create_engine

    from app.ledger import health
    from tasks import rings
    from tasks.app import connect

    assert settings.database_url is not None
    connect(settings)
    began = dt.datetime.now(dt.UTC)
    rings.ring_health()
    engine = create_engine(settings.database_url.get_secret_value(), poolclass=NullPool)
    until = time.monotonic() + _FIRST_CHECK_S
    while time.monotonic() < until and not supervisor.stopping:
        if any(h.state == "healthy" and h.checked_at >= began for h in health.current(engine).values()):
            return
        time.sleep(0.1)  # the answer lies in the ledger, and a ledger has to be asked


def _announce(settings: Settings, home: Path, processes: int, with_flower: bool) -> None:
    lines = [f"ready: {processes} processes, logs in {home / 'logs'}"]
    if with_flower:
        lines.append(
            f"flower: http://127.0.0.1:{settings.flower_port}  user {settings.flower_user}  "
            f"password {flower_password(home)}"
        )
    lines.append("next: switchyard submit FILE --labels a,b --follow   (stop: Ctrl-C or switchyard down)")
    typer.echo("\n".join(lines), err=True)


def flower_password(home: Path) -> str:
    """Made at the first start, kept in the home, readable by its owner only."""
    path = home / "flower.password"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(18))
    return path.read_text().strip()


def _record(home: Path, processes: dict[str, int]) -> None:
    """What ``down`` and people with ``top`` want to know. Processes started again later have other numbers."""
    state = {"pid": os.getpid(), "started": psutil.Process().create_time(), "processes": processes}
    (home / "up.json").write_text(json.dumps(state))


def _running(home: Path) -> int | None:
    """The process of the yard that runs in this home, if it is alive and the same that wrote its state down."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
        state = json.loads((home / "up.json").read_text())
        if abs(psutil.Process(state["pid"]).create_time() - state["started"]) < 1:
            return int(state["pid"])
    return None


def _detached(home: Path, with_flower: bool) -> None:
    command = [sys.executable, "-m", "app.cli", "up", "--flower" if with_flower else "--no-flower"]
    (home / "logs").mkdir(exist_ok=True, mode=0o700)
    log = home / "logs" / "up.log"
    with log.open("ab") as output:
        before = output.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    until = time.monotonic() + _READY_S + 10
    while _running(home) != process.pid:
        if process.poll() is not None or time.monotonic() > until:
            with log.open("rb") as output:
                output.seek(before)
                said = output.read()[-2000:].decode(errors="replace")
            raise ServiceMissing(f"the yard did not start:\n{said}", hint=f"see {home / 'logs'}")
        time.sleep(0.05)  # it is another program's state file: there is nothing to wait on but the file
    with log.open("rb") as output:
        output.seek(before)
        sys.stderr.write(output.read().decode(errors="replace"))


def down() -> None:
    """Stop the yard that runs in this home."""
    from app.settings import load_settings

    home = load_settings().home.absolute()
    pid = _running(home)
    if pid is None:
        typer.echo(f"no yard is running in {home}", err=True)
        return
    process = psutil.Process(pid)
    process.terminate()
    try:
        process.wait(_STOP_S)
    except psutil.TimeoutExpired:
        raise ServiceMissing(f"process {pid} does not stop", hint="see its logs, then kill it") from None
    typer.echo("stopped", err=True)


def worker(
    providers: Annotated[str | None, typer.Option(help="Serve these in one process: groq,cerebras")] = None,
    control: Annotated[bool, typer.Option("--control", help="Serve dispatch, settle, sweep and health.")] = False,
    ledger: Annotated[bool, typer.Option("--ledger", help="Serve the drain of spilled answers.")] = False,
    press: Annotated[bool, typer.Option("--press", help="Serve the making of the newspaper.")] = False,
) -> None:
    """Start workers: for some providers, for all of them (a process each), or for the other queues."""
    from app import logs
    from app.cli.servers import settings as running_settings
    from app.cli.supervisor import Supervisor
    from app.registry.fleet import FleetFile
    from tasks import worker as workers

    settings = running_settings()
    logs.configure()
    if control:
        raise typer.Exit(workers.serve_control(settings))
    if ledger:
        raise typer.Exit(workers.serve_ledger(settings))
    if press:
        raise typer.Exit(workers.serve_press(settings))
    if settings.fleet is None:
        raise UsageError("no fleet file", hint="set SWITCHYARD_FLEET, or copy fleet.example.toml to fleet.toml")
    fleet = FleetFile(settings.fleet)
    if providers is not None:
        names = [name.strip() for name in providers.split(",") if name.strip()]
        known = fleet.current()
        for name in names:
            known.provider(name)
        raise typer.Exit(workers.serve_providers(settings, known, names))
    supervisor = Supervisor(settings)
    try:
        supervisor.serve_fleet(fleet)
        supervisor.watch()
    finally:
        supervisor.stop()


def beat() -> None:
    """Ring the bells of the schedule. A second one does no harm."""
    from app import logs
    from app.cli.servers import settings as running_settings
    from tasks import worker as workers

    logs.configure()
    workers.beat(running_settings())


def flower() -> None:
    """Run Flower on loopback, behind the password in the home."""
    from app.cli.servers import settings as running_settings
    from tasks import worker as workers

    settings = running_settings()
    workers.flower(settings, flower_password(settings.home.absolute()))


def migrate() -> None:
    """Bring the database to the newest schema."""
    from app.cli.servers import settings as running_settings
    from app.ledger import migrate as migrations

    settings = running_settings()
    assert settings.database_url is not None
    migrations.upgrade(settings.database_url.get_secret_value())
    typer.echo("the ledger's schema is up to date", err=True)
