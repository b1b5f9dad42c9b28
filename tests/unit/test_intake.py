"""What may come in at the door: tables, JSON lines, batch lines. Whatever else comes is refused by its line."""

from __future__ import annotations

import csv
import io
import json
import random
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.core.errors import InputError
from app.ledger.door import Row
from app.services.intake import read
from app.services.rows import MAX_TEXT_CHARS, Columns

BANK = 'text,category\nWhere is my card?,card\n"I waited, and waited.\nNothing.",delay\n'


def rows(data: str | bytes, name: str = "-", **columns: object) -> list[Row]:
    raw = data.encode() if isinstance(data, str) else data
    return list(read(io.BytesIO(raw), Columns(**columns), name=name))  # type: ignore[arg-type]


def refused(data: str | bytes, name: str = "-", **columns: object) -> str:
    with pytest.raises(InputError) as caught:
        rows(data, name, **columns)
    return str(caught.value)


def test_a_table_gives_rows_with_the_line_they_begin_on() -> None:
    assert rows(BANK, gold="category") == [
        Row(2, "1", "Where is my card?", "card"),
        Row(3, "2", "I waited, and waited.\nNothing.", "delay"),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_seen_in_the_header(delimiter: str) -> None:
    data = f"id{delimiter}text\r\na{delimiter}one, two; three\r\n".replace("one, two; three", '"one, two; three"')
    assert rows(data) == [Row(2, "a", "one, two; three")]


def test_a_byte_order_mark_and_blank_lines_do_no_harm() -> None:
    assert rows(b"\xef\xbb\xbf\r\ntext\r\n\r\nhello\r\n\r\n") == [Row(4, "1", "hello")]
    assert rows(b'\xef\xbb\xbf\n{"text": "hello"}\n\n{"text": "you"}') == [Row(2, "1", "hello"), Row(4, "2", "you")]


def test_texts_stand_unchanged() -> None:
    text = '  "quoted"\u00a0, tab\there, \U0001f600 line\r\nfeed \\N  '
    table = io.StringIO()
    csv.writer(table).writerows([["id", "text"], ["1", text]])
    assert rows(table.getvalue())[0].text == text
    assert rows(json.dumps({"text": text}))[0].text == text


def test_columns_by_option_then_by_usual_name_then_the_only_one() -> None:
    assert rows("a,b\nx,y\n", text="b", id="a") == [Row(2, "x", "y")]
    assert rows("question,id,custom_id\nq,1,2\n") == [Row(2, "2", "q")]
    assert rows("headline\nNews\n") == [Row(2, "1", "News")]
    assert rows("id,headline,desk\n7,News,city\n", gold="desk") == [Row(2, "7", "News", "city")]
    assert rows('{"id": 12345678901234567890, "input": "t", "y": null}', gold="y") == [
        Row(1, "12345678901234567890", "t")
    ]
    assert "--text" in _hint("a,b\nx,y\n") and "'a', 'b'" in _hint("a,b\nx,y\n")
    assert "no column 'c'" in refused("a,b\nx,y\n", text="c")


def _hint(data: str) -> str:
    with pytest.raises(InputError) as caught:
        rows(data)
    assert caught.value.hint is not None
    return caught.value.hint


def batch(messages: object, **more: object) -> str:
    line = {"custom_id": "r1", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": messages}}
    return json.dumps({**line, **more})


def test_openai_batch_lines() -> None:
    user = {"role": "user", "content": "What is it?"}
    system = {"role": "system", "content": "Be brief."}
    assert rows(batch([user])) == [Row(1, "r1", "What is it?")]
    assert rows(batch([system, user]))[0].text == "Be brief.\n\nWhat is it?"
    parts = {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "it?"}]}
    assert rows(batch([parts]))[0].text == "What is it?"
    turns = [system, user, {"role": "assistant", "content": "A cat."}, {"role": "user", "content": "Sure?"}]
    assert rows(batch(turns))[0].text == "Be brief.\n\nUser: What is it?\n\nAssistant: A cat.\n\nUser: Sure?"


WRONG = [
    ("text\n \n", 2, "empty"),
    ("id,text\n,hello\n", 2, "id is empty"),
    ("id,text\na,b,c\n", 2, "3 cells, but the header names 2"),
    ("id,text\na\n", 2, "1 cell,"),
    ('text\nfine\n"open\nand on\n', 3, "never closed"),
    ('text\n"a" b\n', 2, "closing quote"),
    ("text\na\rb\n", 2, "carriage return"),
    ("text\na\0b\n", 2, "NUL"),
    (b"text\nfine\n\xff\xfe\n", 3, "UTF-8"),
    (b'text\nfine\n"two\nl\xc3ines"\n', 3, "UTF-8"),
    (b"text\n\xed\xa0\x80\n", 2, "UTF-8"),
    (f"text\n{'x' * (MAX_TEXT_CHARS + 1)}\n", 2, "longer than 1,000,000"),
    (f"id,text\n{'i' * 257},t\n", 2, "id is longer"),
    ('{"text": "a"}\n{"text": ""}\n', 2, "empty"),
    ('{"text": "a"}\n{"txt": "b"}\n', 2, "'text' is missing"),
    ('{"text": "a"}\n{"text": 5}\n', 2, "must be a string"),
    ('{"text": "a"}\n{"text": "\\ud800"}\n', 2, "surrogate"),
    ('{"text": "a"}\n{"text": "\\u0000"}\n', 2, "NUL"),
    ('{"text": "a"}\n{"text": "b", "text": "c"}\n', 2, "stands twice"),
    ('{"text": "a"}\n{"text": "b", "x": NaN}\n', 2, "NaN"),
    ('{"text": "a"}\n{"text": "b", "x": -Infinity}\n', 2, "Infinity"),
    ('{"text": "a"}\n{"text": "b"\n', 2, "not JSON"),
    ('{"text": "a"}\n["text"]\n', 2, "not a JSON object"),
    ('{"text": "a"}\n{"text": "b", "x": ' + "[" * 100_000 + "\n", 2, "nested"),
    ('{"text": "a"}\n{"text": "b", "x": ' + "1" * 5_000 + "}\n", 2, "digits"),
    ('{"text": "a", "id": "1"}\n{"text": "b"}\n', 2, "'id' is missing"),
    ('{"text": "a", "id": "1"}\n{"text": "b", "id": 1.5}\n', 2, "whole number"),
    ('{"text": "a", "id": true}\n', 1, "whole number"),
    ('{"text": "a"}\n{"text": "b", "id": "late"}\n', 2, "first line has not"),
    (batch([]), 1, "list of messages"),
    (batch([{"role": "user", "content": [{"type": "image_url"}]}]), 1, "other than text"),
    (batch([{"role": "tool", "content": "x"}]), 1, "role"),
    (batch([{"role": "system", "content": "x"}]), 1, "no user message"),
    (batch([{"role": "user", "content": "x"}], url="/v1/embeddings"), 1, "chat/completions"),
    (batch([{"role": "user", "content": "x"}], custom_id=None), 1, "whole number"),
]


@pytest.mark.parametrize(("data", "line", "reason"), WRONG)
def test_a_wrong_row_is_named_by_its_line(data: str | bytes, line: int, reason: str) -> None:
    said = refused(data)
    assert said.startswith(f"line {line}: ")
    assert reason in said
    assert len(said) < 300


@pytest.mark.parametrize(
    ("data", "reason"), [("", "empty"), ('[{"text": 1}]', "begins with ["), ("a,a\n", "named 'a'")]
)
def test_inputs_that_hold_no_rows_at_all(data: str, reason: str) -> None:
    assert reason in refused(data)


def test_gold_must_be_one_of_the_labels() -> None:
    assert "'c' is not one of the labels" in refused("text,y\nt,a\nt,c\n", gold="y", labels=["a", "b"])
    assert rows("text,y\nt,\n", gold="y", labels=["a", "b"]) == [Row(2, "1", "t", None)]


def test_bad_rows_may_be_skipped_and_are_named() -> None:
    data = b'text\ngood\n \nan\xff\n"a" b\ngood too\na,b\n"open\nto the end'
    bad: list[tuple[int, str]] = []
    found = list(read(io.BytesIO(data), Columns(), on_bad=lambda line, why: bad.append((line, why))))
    # A row keeps the number that it has in the input, whatever was skipped before it.
    assert found == [Row(2, "1", "good"), Row(6, "5", "good too")]
    assert [line for line, _ in bad] == [3, 4, 5, 7, 8]
    lines = b'{"text": "a"}\nnot json\n\xff\n{"text": "b"}\n'
    bad.clear()
    found = list(read(io.BytesIO(lines), Columns(), on_bad=lambda line, why: bad.append((line, why))))
    assert [r.text for r in found] == ["a", "b"]
    assert [line for line, _ in bad] == [2, 3]


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    class Endless(io.RawIOBase):
        left = 200_000_000

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            size = min(len(buffer), self.left)
            self.left -= size
            buffer[:size] = b"x" * size
            return size

    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="line 1"):
            list(read(io.BufferedReader(Endless()), Columns(), name="x.jsonl"))  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


def test_rows_are_read_one_at_a_time_and_fast() -> None:
    data = "id,text,y\n" + "".join(f"q{i},How do I locate my card number {i}?,a\n" for i in range(100_000))
    began = time.perf_counter()
    reading = read(io.BytesIO(data.encode()), Columns(gold="y", labels=["a", "b"]))
    assert isinstance(reading, Iterator)
    assert sum(1 for _ in reading) == 100_000
    # About 0.2 s on an idle core; the margin is for a busy one.
    assert time.perf_counter() - began < 3


def mutated(source: bytes, rng: random.Random) -> bytes:
    data = bytearray(source)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at:at] = rng.choice([b'"', b"\0", b"\xff", b"\r", b"\n", b",", b";", b"{", b"}", b"[", b"\\ud800"])
            case 1:
                del data[at : at + rng.randint(1, 12)]
            case 2:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 8)))
            case 3:
                data[at:at] = data[: rng.randint(0, len(data))]
            case _:
                data = data[:at]
        data = data or bytearray(b"x")
    return bytes(data)


SOURCES = [
    BANK.encode(),
    b'{"id": "a", "text": "one", "y": "card"}\n{"id": "b", "text": "two", "y": "delay"}\n',
    (batch([{"role": "user", "content": "x"}]) + "\n").encode() * 2,
]


@pytest.mark.parametrize("seed", range(70))
def test_mutated_inputs_are_read_or_refused_in_a_sentence(seed: int) -> None:
    rng = random.Random(seed)
    for source in SOURCES:
        data = mutated(source, rng)
        try:
            found = rows(data, name=rng.choice(["-", "x.csv", "x.jsonl"]))
        except InputError as error:
            assert 0 < len(str(error)) < 500
        else:
            assert all(row.text.strip() and row.custom_id.strip() for row in found)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["-", "x.csv", "x.jsonl"]), st.booleans())
@example(b"\xef\xbb\xbf", "-", False)
@example(b'text\n"', "-", True)
@example(b"\n\n\n", "x.jsonl", True)
@example(b'"a\nb"\nx\n', "x.csv", False)
def test_no_bytes_raise_anything_but_an_input_error(data: bytes, name: str, skip: bool) -> None:
    bad: list[int] = []
    try:
        for row in read(io.BytesIO(data), Columns(), name=name, on_bad=(lambda n, _: bad.append(n)) if skip else None):
            row.text.encode()
    except InputError as error:
        assert str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["text", "id", "custom_id", "body", "y"]), json_values), max_size=4))
def test_no_json_raises_anything_but_an_input_error(objects: list[dict[str, object]]) -> None:
    data = "\n".join(json.dumps(o) for o in objects).encode("utf-8", "replace")
    try:
        list(read(io.BytesIO(data), Columns(gold="y"), name="x.jsonl"))
    except InputError as error:
        assert str(error)
