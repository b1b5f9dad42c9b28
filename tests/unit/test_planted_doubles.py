"""Doubles planted among real articles are found, and nothing else is taken for one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.news import merging_of
from bench.planted_news import KINDS, NEGATIVES, collection, night

_FOLDER = Path(os.environ.get("SWITCHYARD_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
_SEED, _EACH = 11, 12

pytestmark = pytest.mark.skipif(
    not (_FOLDER / "news" / "digitalgov_news.jsonl.gz").is_file(),
    reason="the shared news articles are not on this machine (SWITCHYARD_SHARED_DATA)",
)


def test_planted_doubles_are_merged_and_other_articles_are_not() -> None:
    told = night(collection(_FOLDER), _SEED, each=_EACH, one_day=True)
    assert len(told.copied) == _EACH * len(KINDS)
    assert len(told.kinds) == _EACH * (len(KINDS) + len(NEGATIVES))
    result = merging_of(told, _SEED)
    assert result["doubtful_pairs"] <= 60
    for by in ("no votes", "oracle"):
        assert result["by"][by]["precision"] >= 0.99
        assert result["by"][by]["recall"] >= 0.95
    found = [sum(result["by"][by]["recall_by_kind"].values()) for by in ("no votes", "oracle")]
    assert found[0] <= found[1]
