"""``switchyard hear``: what comes in, what goes out, and how often it is right about the recorded responses."""

from __future__ import annotations

import io
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli.entry import main
from app.dialects import DIALECTS

Hear = Callable[..., tuple[int, list[dict[str, Any]], str]]

COMPLETION = {
    "choices": [{"message": {"content": "<think>2+2</think>4"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
}


@pytest.fixture
def hear(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hear:
    """Runs the command on stdin's bytes; (exit code, lines of stdout, stderr)."""

    def run(protocol: str, given: bytes, *more: str) -> tuple[int, list[dict[str, Any]], str]:
        monkeypatch.setattr(sys, "argv", ["switchyard", "hear", "--protocol", protocol, *more])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        with pytest.raises(SystemExit) as left:
            main()
        written = capsys.readouterr()
        return int(left.value.code or 0), [json.loads(line) for line in written.out.splitlines()], written.err

    return run


def _line(status: int = 200, body: Any = None, **more: Any) -> bytes:
    return (
        json.dumps({"status": status, "headers": {}, "body": json.dumps(body), "stream": False} | more).encode() + b"\n"
    )


def test_an_answer_and_a_failure_in_their_order(hear: Hear) -> None:
    limited = {"error": {"message": "Rate limit reached, try again in 2m59.56s"}}
    code, made, _ = hear("openai", _line(429, limited, id="w1") + b"\n" + _line(body=COMPLETION, kind="ignored"))
    assert code == 0
    nothing = {"text": "", "reasoning": "", "finish": None, "input_tokens": None, "output_tokens": None, "flags": []}
    assert made == [
        nothing | {"kind": "rate_limit", "retry_after_s": 179.56},
        {
            "kind": "answer",
            "text": "4",
            "reasoning": "2+2",
            "finish": "stop",
            "input_tokens": 5,
            "output_tokens": 3,
            "retry_after_s": None,
            "flags": ["reasoning_leak"],
        },
    ]


def test_a_file_instead_of_stdin(hear: Hear, tmp_path: Path) -> None:
    file = tmp_path / "responses.jsonl"
    file.write_bytes(_line(body=COMPLETION) * 2)
    code, made, _ = hear("openai", b"", str(file))
    assert (code, [line["text"] for line in made]) == (0, ["4", "4"])


def test_an_empty_answer_is_an_answer_with_its_finish(hear: Hear) -> None:
    cut = {"choices": [{"message": {"content": ""}, "finish_reason": "length"}]}
    _, made, _ = hear("openai", _line(body=cut))
    assert (made[0]["kind"], made[0]["text"], made[0]["finish"]) == ("answer", "", "length")


def test_a_filtered_answer_says_how_it_ended(hear: Hear) -> None:
    _, made, _ = hear("openai", _line(body={"choices": [{"message": {}, "finish_reason": "content_filter"}]}))
    assert (made[0]["kind"], made[0]["finish"]) == ("content_filter", "content_filter")


def test_no_body_and_no_headers_are_an_empty_response(hear: Hear) -> None:
    code, made, _ = hear("openai", b'{"status": 200}\n{"status": 503, "headers": {"Retry-After": 7}, "body": null}')
    assert code == 0
    assert [(line["kind"], line["retry_after_s"]) for line in made] == [("malformed", None), ("overloaded", 7.0)]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"nope", "line 2: not JSON"),
        (b"\xff", "line 2: not UTF-8"),
        (b"[" * 100_000, "line 2: not JSON"),
        (b"9" * 5000, "line 2: not JSON"),
        (b"[]", "line 2: not a JSON object"),
        (b"{}", "line 2: status must be"),
        (b'{"status": true}', "line 2: status must be"),
        (b'{"status": "200"}', "line 2: status must be"),
        (b'{"status": 200, "headers": []}', "line 2: headers must be"),
        (b'{"status": 200, "body": {}}', "line 2: body must be"),
    ],
)
def test_a_malformed_line_is_named_and_ends_it(hear: Hear, line: bytes, why: str) -> None:
    code, made, said = hear("openai", _line(body=COMPLETION) + line + b"\n" + _line(body=COMPLETION))
    assert (code, len(made)) == (2, 1)
    assert why in said


def test_an_unknown_protocol_and_a_missing_file_are_refused(hear: Hear, tmp_path: Path) -> None:
    code, _, said = hear("opnai", b"")
    assert code == 2
    assert "openai" in said
    code, _, said = hear("openai", b"", str(tmp_path / "none"))
    assert code == 2
    assert "cannot be read" in said


def test_half_a_surrogate_pair_is_no_surprise(hear: Hear) -> None:
    code, made, _ = hear("openai", b'{"status": 200, "body": "\\ud83d"}')
    assert (code, made[0]["kind"]) == (0, "malformed")


ODD_LINES = [
    b'{"status": 200, "headers": {"retry-after": [[1]], "date": {"a": null}, "": ""}, "body": "{}"}',
    b'{"status": 429, "headers": {"Retry-After": 1e400, "Date": "\\ud83d"}, "body": "\\u0000"}',
    b'{"status": 999, "body": "' + b"[" * 5000 + b'"}',
    b'{"status": 100, "status": 101, "stream": "maybe", "body": "data: \\n\\ndata"}',
    b'{"status": 1e2}',
    b'{"status": NaN}',
    b'{"status": 1' + b"0" * 4300 + b"}",
    b'{"status": 200, "body": ["a"]}',
    b'{"status": 200, "headers": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}",
    b"\xef\xbb\xbf{}",
    b'"status"',
    b"null",
    b"\x00",
]


@pytest.mark.parametrize("protocol", DIALECTS)
@pytest.mark.parametrize("line", ODD_LINES)
def test_any_line_is_heard_or_named(protocol: str, line: bytes, hear: Hear) -> None:
    code, made, said = hear(protocol, line)
    assert (code, len(made)) == (0, 1) or (code == 2 and "line 1: " in said and not made)


# The recorded responses

FLOOR = 0.97
_ANSWERS = dict.fromkeys(("success", "truncated", "reasoning_leak"), "answer")


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[dict[str, Any]]]:
    shared = os.environ.get("SWITCHYARD_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data"
    path = Path(shared) / "wire_cases.jsonl"
    if not path.is_file():
        pytest.skip(f"no recorded responses at {path}")
    cases = defaultdict(list)
    with path.open() as lines:
        for case in map(json.loads, lines):
            if "ambiguous" not in case["tags"]:
                cases[case["wire"]].append(case)
    return cases


@pytest.mark.parametrize("protocol", DIALECTS)
def test_recorded_responses_are_heard_as_they_are(
    protocol: str, recorded: dict[str, list[dict[str, Any]]], hear: Hear, record_property: Callable[[str, object], None]
) -> None:
    """At least 97 % of the kinds; every text, count of tokens and finish reason that the recording is sure of."""
    cases = recorded[protocol]
    code, made, _ = hear(protocol, b"".join(json.dumps(case).encode() + b"\n" for case in cases))
    assert (code, len(made)) == (0, len(cases))
    wrong_kinds = {
        case["id"]: (line["kind"], case["kind"])
        for case, line in zip(cases, made, strict=True)
        if line["kind"] not in {_ANSWERS.get(kind, kind) for kind in (case["kind"], *(case.get("alt_kinds") or ()))}
    }
    accuracy = 1 - len(wrong_kinds) / len(cases)
    record_property("accuracy", f"{protocol}: {accuracy:.1%} of {len(cases)}")
    assert accuracy >= FLOOR, f"{protocol}: {accuracy:.1%} of {len(cases)}: {wrong_kinds}"
    wrong = [miss for case, line in zip(cases, made, strict=True) for miss in _misses(case, line)]
    assert not wrong, f"{Counter(name for _, name, *_ in wrong)}: {wrong[:20]}"


def _misses(case: dict[str, Any], line: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    expected = case["expected"] or {}
    if "retry_after_s" in expected and line["retry_after_s"] != pytest.approx(expected["retry_after_s"]):
        yield case["id"], "retry_after_s", line["retry_after_s"], expected["retry_after_s"]
    if "text" not in expected:
        return
    if line["kind"] == "answer" and line["text"] != (expected["text"] or ""):
        yield case["id"], "text", line["text"], expected["text"]
    if line["reasoning"].strip() != (expected["reasoning"] or "").strip():
        yield case["id"], "reasoning", line["reasoning"], expected["reasoning"]
    if case["kind"] == "reasoning_leak" and "reasoning_leak" not in line["flags"]:
        yield case["id"], "flags", line["flags"], case["kind"]
    for name, known in (("finish", "finish_norm"), ("input_tokens",) * 2, ("output_tokens",) * 2):
        if expected[known] is not None and line[name] != expected[known]:
            yield case["id"], name, line[name], expected[known]
