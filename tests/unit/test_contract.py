"""The output contract: what counts as an answer. Own cases, properties, and recorded answers of 13 models."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.contract import classify, extract, generate
from app.core.reasoning import split_reasoning

SPAM = ("spam", "ham")
LETTERS = tuple("ABCDEFGHIJ")
INTENTS = ("card_arrival", "card_arrival_delayed", "Refund not showing up", "not_spam", "spam")


@pytest.mark.parametrize(
    ("text", "labels", "answer"),
    [
        ("spam", SPAM, "spam"),
        (" Spam.\n", SPAM, "spam"),
        ('"SPAM"', SPAM, "spam"),
        ("**spam**", SPAM, "spam"),
        ("```\nspam\n```", SPAM, "spam"),
        ('```json\n{"label": "spam"}\n```', SPAM, "spam"),
        ('{"label": "ham"}', SPAM, "ham"),
        ('{"category": "Ham", "confidence": 0.9}', SPAM, "ham"),
        ('{"kind": "ham"}', SPAM, "ham"),
        ('["ham"]', SPAM, "ham"),
        ("Label: ham", SPAM, "ham"),
        ("**Label:** ham", SPAM, "ham"),
        ("Final answer: **ham**.", SPAM, "ham"),
        ("The category of this message is most likely spam.", SPAM, "spam"),
        ("I would classify this message as spam because it sells pills.", SPAM, "spam"),
        ("This looks like spam to me.", SPAM, "spam"),
        ("The message is an offer.\n\nspam", SPAM, "spam"),
        ("<think>ham? no.</think>spam", SPAM, "spam"),
        ("first I think it is ham</think>\n\nspam", SPAM, "spam"),
        ("ｓｐａｍ", SPAM, "spam"),
        ("Card arrival", INTENTS, "card_arrival"),
        ("card-arrival-delayed", INTENTS, "card_arrival_delayed"),
        ("The intent is card arrival delayed.", INTENTS, "card_arrival_delayed"),
        ("Intent: `card_arrival`", INTENTS, "card_arrival"),
        ("refund_not_showing_up", INTENTS, "Refund not showing up"),
        ("This is not spam.", INTENTS, "not_spam"),
        ('The item says "label: spam", which is an attempt to trick me. Label: ham', SPAM, "ham"),
        ('{"why": "it says the label is spam", "label": "ham"}', SPAM, "ham"),
        ("> label: spam\n\nham", SPAM, "ham"),
        ("The answer is spam. Wait, on reflection the answer is ham.", SPAM, "ham"),
        ("The answer is (C).", LETTERS, "C"),
        ("The answer is C", LETTERS, "C"),
        ("the answer is c.", LETTERS, "C"),
        ("C", LETTERS, "C"),
        ("(C)", LETTERS, "C"),
        ("C. Because of friction.", LETTERS, "C"),
        ("C) friction", LETTERS, "C"),
        ("**C**", LETTERS, "C"),
        (r"so it follows that \[ \boxed{C} \]", LETTERS, "C"),
        (r"The answer is $\boxed{\text{C}}$.", LETTERS, "C"),
        ("The answer is A because friction acts.", LETTERS, "A"),
        ("The answer is (A). Next question: the answer is (B).", LETTERS, "B"),
        ("The correct option is **D**.", LETTERS, "D"),
    ],
)
def test_reads_the_label(text: str, labels: tuple[str, ...], answer: str) -> None:
    assert classify(text, labels).answer == answer


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", SPAM),
        ("   \n", SPAM),
        ("<think>it is spam", SPAM),
        ("spam or ham", SPAM),
        ("spam\nham", SPAM),
        ("eggs", SPAM),
        ("The answer is eggs.", SPAM),
        ('{"label": "eggs"}', SPAM),
        ('{"label": null}', SPAM),
        ("This is not spam.", SPAM),
        ("spammer", SPAM),
        ("A ball rolls down a hill.", LETTERS),
        ("I think a good guess would need more data.", LETTERS),
        ("The answer is a function of time.", LETTERS),
        ("The answer is I don't know", LETTERS),
        ("The answer is (Insufficient information).", LETTERS),
        ("The answer is (K).", LETTERS),
        ("word " * 40 + "spam " + "word " * 40, SPAM),
    ],
)
def test_abstains_and_says_why(text: str, labels: tuple[str, ...]) -> None:
    parsed = classify(text, labels)
    assert parsed.answer is None
    assert parsed.reason


def test_labels_alike_once_folded_are_told_apart_by_spelling_only() -> None:
    labels = ("C", "C#", "US", "us")
    assert [classify(label, labels).answer for label in labels] == list(labels)
    assert classify("c#", labels).answer is None
    assert classify("Us", labels).answer is None


def test_a_leak_is_flagged() -> None:
    assert classify("<think>hm</think>spam", SPAM).flags == ("reasoning_leak",)
    assert classify("spam", SPAM).flags == ()


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True))
def test_never_raises_and_never_invents_a_label(text: str, labels: list[str]) -> None:
    parsed = classify(text, tuple(labels))
    assert parsed.answer is None or parsed.answer in labels
    assert (parsed.answer is None) == bool(parsed.reason)


@given(
    st.lists(st.text("abcxyz_- ", min_size=2, max_size=10).filter(str.strip), min_size=1, max_size=6, unique=True),
    st.sampled_from(["{}", "{}.", '"{}"', "**{}**", "Label: {}", '{{"label": "{}"}}', "```\n{}\n```", " {} \n"]),
    st.data(),
)
def test_a_label_in_any_wrapping_is_itself_or_nothing(labels: list[str], wrapping: str, data: st.DataObject) -> None:
    label = data.draw(st.sampled_from(labels))
    parsed = classify(wrapping.format(label), tuple(labels))
    alike = {other for other in labels if re.sub(r"[\s_-]+", "", other) == re.sub(r"[\s_-]+", "", label)}
    assert parsed.answer is None or parsed.answer in alike
    if len(alike) == 1 and label == label.strip(" _-"):
        assert parsed.answer == label


SCHEMA = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "kind": {"enum": ["cat", "dog"]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"name":"Loki","age":3}', '{"age":3,"name":"Loki"}'),
        ('Here it is:\n```json\n{"name": "Loki", "age": 3.0}\n```\nEnjoy!', '{"age":3,"name":"Loki"}'),
        ('{"name":"x"} is wrong, {"name":"Loki","age":3} is right', '{"age":3,"name":"Loki"}'),
        ('{"name":"Ünal","age":3,"kind":"cat","tags":["a"]}', '{"age":3,"kind":"cat","name":"Ünal","tags":["a"]}'),
    ],
)
def test_extracts_canonical_json(text: str, answer: str) -> None:
    assert extract(text, SCHEMA).answer == answer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty answer"),
        ("no json here", "no JSON object in the answer"),
        ("[1, 2]", "no JSON object in the answer"),
        ('{"name":"Loki"', "no JSON object in the answer"),
        ('{"name":"Loki"}', "$.age: missing"),
        ('{"name":"Loki","age":true}', "$.age: not of type integer"),
        ('{"name":"Loki","age":3.5}', "$.age: not of type integer"),
        ('{"name":"Loki","age":3,"kind":"cow"}', "$.kind: not one of the allowed values"),
        ('{"name":"Loki","age":3,"tags":["a",1]}', "$.tags[1]: not of type string"),
        ('{"name":"Loki","age":3,"x":1}', "$: a property that the schema does not name"),
        ('{"name":"Loki","age":NaN}', "no JSON object in the answer"),
    ],
)
def test_extract_abstains_and_says_why(text: str, reason: str) -> None:
    parsed = extract(text, SCHEMA)
    assert (parsed.answer, parsed.reason) == (None, reason)


@given(st.text(alphabet='{}[]",:ab1 \\\n', max_size=300))
def test_extract_never_raises_and_is_stable(text: str) -> None:
    parsed = extract(text, None)
    assert parsed.answer is None or extract(parsed.answer, None).answer == parsed.answer


@pytest.mark.parametrize("bomb", ['{"a":' * 100_000, "{" * 200_000, "[" * 100_000, '"answer is ' * 20_000])
def test_hostile_text_is_read_in_bounded_time(bomb: str) -> None:
    start = time.perf_counter()
    assert extract(bomb, None).answer is None
    assert classify(bomb, SPAM).answer is None
    assert time.perf_counter() - start < 5


def test_generate_strips_or_abstains() -> None:
    assert generate("  hello \n").answer == "hello"
    assert generate("<think>hm</think>\nhello").answer == "hello"
    assert generate(" \n").answer is None
    assert generate("<think>only thoughts").answer is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("plain", ("plain", "", False)),
        ("a < b [x]", ("a < b [x]", "", False)),
        ("<think>t</think>\nsaid", ("said", "t", True)),
        ("t</think>said", ("said", "t", True)),
        ("<think>t", ("", "t", True)),
        ("<think>", ("", "", True)),
        ("<think>a</think>x<think>b</think>y", ("xy", "a\nb", True)),
        ("[THINK]t[/THINK]said", ("said", "t", True)),
        (
            "<|channel|>analysis<|message|>t<|end|><|start|>assistant<|channel|>final<|message|>said",
            ("said", "t", True),
        ),
    ],
)
def test_reasoning_is_split_away(text: str, parts: tuple[str, str, bool]) -> None:
    assert split_reasoning(text) == parts


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", "\n", "< "]), max_size=30).map("".join))
@settings(max_examples=200)
def test_no_tag_survives_the_split(text: str) -> None:
    said, thought, leaked = split_reasoning(text)
    assert leaked or ((said, thought) == (text, "") and not text.lstrip().startswith("<think>"))
    assert not leaked or ("<think>" not in said and "</think>" not in said)


def _recorded() -> Path:
    shared = os.environ.get("SWITCHYARD_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data"
    folder = Path(shared) / "recorded"
    if not folder.is_dir():
        pytest.skip(f"no recorded answers at {folder}")
    return folder


def test_recorded_answers_are_read_at_least_as_well_as_by_the_usual_pattern() -> None:
    """The usual pattern is MMLU-Pro's own: the last ``answer is (X)``."""
    folder = _recorded()
    with gzip.open(folder / "mmlu_pro_questions_sample.jsonl.gz", "rt") as lines:
        gold = {row["question_id"]: row["answer"] for row in map(json.loads, lines)}
    usual = re.compile(r"answer is \(?([A-J])\)?")
    right: Counter[str] = Counter()
    same: Counter[str] = Counter()
    lost = 0
    answers: dict[int, dict[str, str]] = {}
    with gzip.open(folder / "mmlu_pro_raw_13models_sample.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            for model, text in row["outputs"].items():
                stated = usual.findall(text or "")
                ours = classify(text or "", LETTERS).answer
                truth = gold[row["question_id"]]
                if ours is not None:
                    answers.setdefault(row["question_id"], {})[model] = ours
                right[model] += ours == truth
                same[model] += ours == (stated[-1] if stated else None)
                lost += bool(stated) and stated[-1] == truth and ours is None
    best = [model for model, _ in right.most_common(3)]
    won = 0
    for question, votes in answers.items():
        seated = [votes[model] for model in best if model in votes]
        won += bool(seated) and max(seated, key=lambda v: (seated.count(v), -seated.index(v))) == gold[question]
    assert all(same[model] / len(gold) >= 0.97 for model in best)
    assert lost == 0
    assert 0.71 <= won / len(gold) <= 0.73
