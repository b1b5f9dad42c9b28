"""Acceptance: what a job's cheap answers have to pass (``cheap-first``), and what every answer has to match."""

from __future__ import annotations

from collections.abc import Iterable

from app.core.errors import UsageError
from app.core.pattern import PatternError, compiled
from app.core.plan import VERIFIER
from app.core.recipe import AGREEMENT, CONTRACT, JUDGED, PATTERN, Recipe
from app.core.values import TaskKind


def check_pattern(task: str, pattern: str | None) -> None:
    """Raises ``ValueError`` for a pattern that cannot be used, or that is of no use."""
    if pattern is None:
        return
    if task == TaskKind.CLASSIFY:
        raise ValueError("accept_pattern is for extract and generate: the answers of classify are its labels")
    try:
        compiled(pattern)
    except PatternError as error:
        raise ValueError(f"accept_pattern: {error}") from None


def usual_check(task: str, pattern: str | None, rubric: str | None) -> str:
    """What the recipe of ``cheap-first`` means where it names no check: a judge where there is a rubric; else free text
    is never quite the same twice, so one answer of the right form is enough; else two that are the same."""
    if rubric is not None:
        return JUDGED
    if task == TaskKind.GENERATE:
        return CONTRACT if pattern is None else PATTERN
    return AGREEMENT


def check_means(recipes: Iterable[Recipe], pattern: str | None, rubric: str | None) -> None:
    """Raises ``UsageError`` where a check lacks what it goes by, or a rubric is read by nobody."""
    recipes = list(recipes)
    checks = {recipe.check for recipe in recipes}
    if PATTERN in checks and pattern is None:
        raise UsageError("check=pattern needs the pattern", hint="--accept-pattern REGEX, or check=contract")
    if JUDGED in checks and rubric is None:
        raise UsageError("check=judge needs a rubric", hint="--rubric TEXT or --rubric @FILE")
    if rubric is not None and not any(VERIFIER in recipe.roles for recipe in recipes):
        raise UsageError(
            "nobody reads the rubric: the strategy has no judge that accepts or rejects",
            hint='--strategy "cheap-first(check=judge)" or thinker-worker-verifier',
        )
