"""What responses and refusals teach about limits."""

from __future__ import annotations

import pytest

from app.core.learning import INFERRED_LONGEST_S, backed_off, hold_s, learned_from
from app.core.values import Observed


@pytest.mark.parametrize(
    ("stated", "configured", "learned", "upwards", "value"),
    [
        (30, 240, None, False, 30),
        (30, None, None, False, 30),
        (240, 240, None, False, None),
        (300, 240, None, False, None),
        (300, 240, None, True, 300),
        (240, 240, None, True, None),
        (30, 240, 30, False, 30),
        (240, 240, 30, False, 240),
        (300, 240, 30, False, 300),
        (None, 240, None, False, None),
        (0, 240, None, False, None),
    ],
)
def test_a_stated_limit_is_learned_where_it_is_lower_or_may_be_higher(
    stated: int | None, configured: int | None, learned: int | None, upwards: bool, value: int | None
) -> None:
    lesson = learned_from(Observed("rpm", stated), configured, learned, upwards=upwards)
    assert (None if lesson is None else lesson.value) == value
    if lesson is not None:
        assert (lesson.rule, lesson.for_s) == ("rpm", 3600)
        assert str(stated) in lesson.why


def test_a_refusal_may_say_that_nothing_is_allowed() -> None:
    lesson = learned_from(Observed("rpd", 0), 100, refused=True)
    assert lesson is not None
    assert lesson.value == 0
    assert lesson.why == "the refusal names 0 rpd; the fleet file has 100"


def test_a_silently_lowered_limit_is_found_within_a_handful_of_refusals() -> None:
    """A provider that took 240 a minute takes 30: each refusal comes when a minute at the last lesson was asked."""
    in_force, accepted, refusals, for_s = 240, 240, 0, None
    while in_force > 30:
        lesson = backed_off(accepted, in_force, for_s)
        assert lesson is not None
        assert lesson.value < in_force
        in_force, accepted, for_s, refusals = lesson.value, 30, lesson.for_s, refusals + 1
    assert refusals <= 4
    assert in_force >= 20


@pytest.mark.parametrize(
    ("accepted", "in_force", "value"),
    [(240, 240, 168), (1, None, 1), (3, 240, 120), (1, 2, 1), (100, 10, 9), (5, 1, 1)],
)
def test_one_refusal_takes_a_part_and_never_more_than_half(accepted: int, in_force: int | None, value: int) -> None:
    lesson = backed_off(accepted, in_force)
    assert lesson is not None
    assert (lesson.rule, lesson.value) == ("rpm", value)


def test_a_provider_that_takes_nothing_is_shut_not_slower() -> None:
    assert backed_off(0, 240) is None


def test_what_has_to_be_learned_again_lasts_twice_as_long_up_to_two_hours() -> None:
    lasted, for_s = [], None
    for _ in range(6):
        lesson = backed_off(100, None, for_s)
        assert lesson is not None
        lasted.append(for_s := lesson.for_s)
    assert lasted == [600, 1200, 2400, 4800, INFERRED_LONGEST_S, INFERRED_LONGEST_S]
    untried = backed_off(100, None, 1200, tried=False)
    assert untried is not None
    assert untried.for_s == 1200


@pytest.mark.parametrize(
    ("observed", "used", "in_force", "wait"),
    [
        (Observed("rpm", 30, 0, 12.5), 10, 30, 12.5),
        (Observed("rpm", 30, 0, 500.0), 10, 30, 60.0),
        (Observed("tpd", None, 0, 10**6), 0, None, 86_400.0),
        (Observed("rpmo", None, 0, 10**6), 0, None, 86_400.0),
        (Observed("rpm", 30, 0, 12.5), 30, 30, None),
        (Observed("rpm", 30, 1, 12.5), 10, 30, None),
        (Observed("rpm", 30, 0, None), 10, 30, None),
        (Observed("rpm", 30, 0, -1.0), 10, 30, None),
        (Observed("concurrency", 3, 0, 5.0), 1, 3, None),
    ],
)
def test_nothing_left_is_waited_for_unless_our_own_window_is_shut_too(
    observed: Observed, used: int, in_force: int | None, wait: float | None
) -> None:
    assert hold_s(observed, used, in_force) == wait
