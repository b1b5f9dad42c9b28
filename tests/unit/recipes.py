"""Every strategy, written as shortly as it can be."""

from __future__ import annotations

from app.core.recipe import SHAPES

SHORTEST = tuple(
    f"{strategy}(against=strong/m)" if "against" in shape.parameters else strategy for strategy, shape in SHAPES.items()
)
