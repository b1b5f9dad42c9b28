"""Recipes: what is written reads back the same; what is wrong is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.core.errors import RecipeError
from app.core.recipe import MAX_COUNCIL, STRATEGIES, Recipe, parse
from tests.unit.recipes import SHORTEST


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("single-query", "single-query@1(attempts=6)"),
        ("majority-vote", "majority-vote@1(council=3, quorum=2, full=false, attempts=9)"),
        (" majority-vote@1 ( council = 5 ) ", "majority-vote@1(council=5, quorum=3, full=false, attempts=15)"),
        ("majority-vote(full=true, quorum=3)", "majority-vote@1(council=3, quorum=3, full=true, attempts=9)"),
        ("synthesize-best", "synthesize-best@1(council=3, attempts=12)"),
        ("ranked-fallback(council=4)", "ranked-fallback@1(council=4, attempts=12)"),
        ("guaranteed(against=a/x)", "guaranteed@1(council=3, against=a/x, attempts=12)"),
        ("ranked-fallback()", "ranked-fallback@1(council=3, attempts=9)"),
    ],
)
def test_the_canonical_form_spells_everything_out(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical
    assert str(parse(canonical)) == canonical


@given(
    st.sampled_from(SHORTEST),
    st.none() | st.integers(1, MAX_COUNCIL),
    st.none() | st.booleans(),
)
def test_a_recipe_parses_to_itself(strategy: str, council: int | None, full: bool | None) -> None:
    recipe = parse(strategy, council, full)
    assert parse(str(recipe)) == recipe
    if council is not None and recipe.shape.most_voices is None:
        assert recipe.council == council


def test_council_and_full_from_outside_win() -> None:
    assert parse("majority-vote(council=3)", 5, True) == Recipe("majority-vote", 5, 3, 15, full=True)
    assert parse("single-query", 5, True) == Recipe("single-query", 1, 1, 6)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("majority-votes", "no strategy 'majority-votes'", "did you mean 'majority-vote'?"),
        ("ranked-fall", "no strategy 'ranked-fall'", "ranked-fallback"),
        ("zzz", "no strategy 'zzz'", "known: single-query, majority-vote"),
        ("majority-vote@2", "no version 2", "the version is 1"),
        ("majority-vote(counsel=3)", "no parameter 'counsel'", "did you mean 'council'?"),
        ("single-query(quorum=1)", "no parameter 'quorum'", "known: attempts"),
        ("guaranteed", "guaranteed needs the model to agree with", "--against provider/model"),
        ("guaranteed(against=a/x+b/y)", "against names one deployment", ""),
        ("majority-vote(3)", "no parameter '3'", "known: council"),
        ("majority-vote(council=three)", "council=three is not a whole number", ""),
        ("majority-vote(council=-1)", "council=-1 is not a whole number", ""),
        ("majority-vote(council=)", "council= is not a whole number", ""),
        ("majority-vote(council=true)", "council=true is not a whole number", ""),
        ("majority-vote(full=7)", "full=7", "true or false"),
        ("majority-vote(council=3, council=3)", "council is given twice", ""),
        ("majority-vote(council=0)", "a council of 0", "1 to 15"),
        ("majority-vote(council=16)", "a council of 16", "1 to 15"),
        ("majority-vote(quorum=4)", "a quorum of 4", ""),
        ("majority-vote(quorum=0)", "a quorum of 0", ""),
        ("majority-vote(attempts=2)", "2 attempts", "council to 100"),
        ("majority-vote(attempts=101)", "101 attempts", "council to 100"),
        ("", "'' is not a recipe", "majority-vote"),
        ("majority-vote((", "is not a recipe", "majority-vote"),
    ],
)
def test_an_error_names_the_word_and_what_to_do(text: str, message: str, hint: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse(text)
    assert message in str(error.value)
    assert hint in (error.value.hint or "")


_WORDS = st.sampled_from(
    [
        *STRATEGIES,
        "@1",
        "@",
        "@99",
        "(",
        ")",
        "council",
        "quorum",
        "full",
        "attempts",
        "=",
        "==",
        ",",
        "true",
        "3",
        " ",
        "\n",
        "٣",
    ]
)


@settings(max_examples=500)
@given(st.text() | st.lists(_WORDS, max_size=14).map("".join), st.none() | st.integers(), st.none() | st.booleans())
@example("majority-vote@" + "9" * 5_000, None, None)
@example("majority-vote(council=" + "9" * 5_000 + ")", None, None)
@example("majority-vote" + " " * 200_000 + "!", None, None)
def test_whatever_is_written_is_a_recipe_or_a_recipe_error(text: str, council: int | None, full: bool | None) -> None:
    try:
        recipe = parse(text, council, full)
    except RecipeError as error:
        assert str(error)
        return
    assert parse(str(recipe)) == recipe
    assert 1 <= recipe.quorum <= recipe.council <= min(MAX_COUNCIL, recipe.attempts)
