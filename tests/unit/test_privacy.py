"""What is found in a text, what is not, and a text without it."""

from __future__ import annotations

import csv
import json
import os
import random
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import identities, privacy
from app.core.privacy import Span, find
from app.core.redaction import MOST_VALUES, redactable, redaction
from tests.unit.planted import CLEAN, KINDS, plant

SHARED = Path(os.environ.get("SWITCHYARD_SHARED_DATA", "../shared/data"))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=400)
SHAPELY = st.text(st.sampled_from("0123456789 .-+()@:/=_abAB[]\u200b4٣é"), max_size=200)

# Published examples of each, not made by us.
FOUND = {
    "email": [
        "My email is john.doe@example.com, ok",
        "write to john (at) example (dot) com",
        "john at example dot com please",
        "john dot smith at mail dot example dot co dot uk",
        "joe[at]corp.example.org",
        "user%40example.com",
        "jöhn@exämple.de",
        "john@example.com",
        "jo\u200bhn@exam\u00adple.com",
    ],
    "phone": [
        "+1 (415) 555-2671", "07911 123456", "tel 030/1234567", "06 12 34 56 78", "4155552671", "555-123-4567",
        "(555) 123-4567 x22", "+49 (0)30 123456", "+442079460958", "0049 30 1234567", "98765 43210", "13812345678",
        "612 34 56 78", "call us: 5550199", "+٤٤ ٢٠ ٧٩٤٦ ٠٩٥٨",
    ],
    "iban": [
        "DE89 3704 0044 0532 0130 00", "de89370400440532013000 is it", "GB82 WEST 1234 5698 7654 32",
        "IBAN:FR1420041010050500013M02606", "NL91-ABNA-0417-1643-00",
    ],
    "card": [
        "4111 1111 1111 1111", "4111-1111-1111-1111", "4111.1111.1111.1111", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "4111111111111111", "41\u200b11 1111 1111 1111", "378282246310005", "3782 822463 10005",
        "6011111111111117", "5555555555554444", "30569309025904", "3530111333300000", "4111–1111–1111–1111",
    ],
    "ip": ["192.168.1.77", "10.0.0.1:8080", "192[.]168[.]1[.]7", "2001:db8::ff00:42:8329", "fe80::1ff:fe23:4567:890a"],
    "national-id": [
        "123-45-6789", "my SSN is 123456789", "QQ123456C", "AB 12 34 56 C", "Steuer-ID 86095742719", "86 095 742 719",
        "1 85 05 78 006 084 91", "255081416802538", "12345678Z", "X1234567L", "AB 123456 C",
        "my DNI is 12345678 Z", "RSSMRA85T10A562S", "2341 2341 2346",
        "234123412346", "529.982.247-25", "52998224725", "111222333", "811228-9874", "19811228-9874", "44051401359",
        "131052-308T", "11010519491231002X", "756.9217.0769.85", "passport no. C01X00T47", "ABCPE1234F",
    ],
    "account": ["sort code 12-34-56", "account number: 12345678"],
    "secret": [
        "sk-abcdefghijklmnopqrstuvwxyz123456", "sk-ant-api03-AbCdEfGh12345678901234567890", "AKIAIOSFODNN7EXAMPLE",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "xoxb-123456789012-abcdefghijkl",
        "AIzaSyA1234567890abcdefghijklmnopqrstuvw", "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "gsk_abcdefghijklmnop1234567890", "glpat-abcdefghij1234567890",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_ghi",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "postgres://user:s3cret@db.example.com:5432/x", "sk_live_abcdefghijklmnop", "password: hunter2",
        "password=correcthorse", "api_key = 'a8f5f167f44f4964e6c998dee827110c'", "token=abc123def456ghi789",
        "my pin is 4821", "the password is Tr0ub4dor&3", "Authorization: Bearer abcdef1234567890abcdef",
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    ],
}  # fmt: skip

INNOCENT = [
    *CLEAN, "text 12345", "version 1.2.3.4, and v1.2.3.4", "on 2024-01-15 10:30:45", "in 2016 2017 2018 2019",
    "3.14159265358979", "1,234,567,890 people", "1.234.567.890", "the token: please", "my password is incorrect",
    "password: forgotten", "std::vector<int>::iterator", "a[1::2]", "550e8400-e29b-41d4-a716-446655440000",
    "ISBN 978-3-16-148410-0", "meet at noon on 01.02.2024", "127.0.0.1", "look at amazon.com", "600 000 000 euros",
    "127,000-150,000", "call from 2019-2020", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "@john.doe says hi",
    "score 12:30 to 13:45", "pages 100-2000", "PIN code 560001", "Section 12(a)(3) of 29 CFR 1910.1200",
    "2012-05-16-recap-of-the-day", "from 2 (yes) to 3 (no)", "8 1 2 3 4 5 6 7 8 9 10",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
def test_it_is_found_as_people_write_it(kind: str, text: str) -> None:
    assert kind in privacy.kinds(find(text)), find(text)


@pytest.mark.parametrize("text", INNOCENT)
def test_it_is_not_found_where_there_is_none(text: str) -> None:
    assert find(text) == ()


@pytest.mark.parametrize(
    "text", ["4111 1111 1111 1112", "DE88 3704 0044 0532 0130 00", "123456781", "RSSMRA85T10A562T"]
)
def test_a_check_digit_is_held_to(text: str) -> None:
    assert not {"card", "iban", "national-id"} & privacy.kinds(find(text)).keys()


@given(st.integers(0, 2**32))
def test_what_was_planted_is_found_where_it_stands(seed: int) -> None:
    kind, value, text = plant(random.Random(seed))
    start = text.index(value)
    end = start + len(value)
    assert any(span.start < end and span.end > start for span in find(text)), (kind, text, find(text))


@given(TEXTS | SHAPELY)
def test_findings_are_in_order_within_the_text_and_apart(text: str) -> None:
    spans = find(text)
    assert all(0 <= s.start < s.end <= len(text) and s.kind in privacy.KINDS for s in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))


@given(st.sampled_from([n for n in identities.NUMBERS if n.alone]), st.integers(0, 2**32))
def test_a_changed_digit_is_another_number(number: identities.Number, seed: int) -> None:
    """Every check digit finds most single mistakes."""
    rng = random.Random(seed)
    digits = next(
        d for _ in range(100_000) if number.valid(d := str(rng.randrange(10**number.length)).zfill(number.length))
    )
    at = rng.randrange(number.length)
    wrong = [digits[:at] + c + digits[at + 1 :] for c in "0123456789" if c != digits[at]]
    assert sum(number.valid(d) for d in wrong) <= 2


def test_a_text_without_anything_costs_next_to_nothing() -> None:
    text = "How do I link to my credit card with you, and when will it arrive?"
    best = min(_seconds(text) for _ in range(5))
    assert best < 10e-6, "budgeted at about one microsecond, with room for a busy machine"


def _seconds(text: str) -> float:
    began = time.perf_counter()
    for _ in range(2_000):
        find(text)
    return (time.perf_counter() - began) / 2_000


@pytest.mark.parametrize(
    "piece", ["1 ", "1", "a@", "a.", "+1", "ab:", "DE89", "aB3", "(at)", " dot ", "password is ", "٣é"]
)
def test_no_text_takes_more_time_than_its_length_warrants(piece: str) -> None:
    def took(length: int) -> float:
        text = (piece * length)[:length] + " 1234@"
        began = time.perf_counter()
        find(text)
        return time.perf_counter() - began

    small, large = min(took(10_000) for _ in range(3)), took(100_000)
    assert large < 60 * small + 0.1, "ten times the length, and nowhere near a hundred times the time"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not there")
def test_false_alarms_on_banking77_are_under_two_percent() -> None:
    with (SHARED / "classify/banking77_test.csv").open(newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    alarms = [text for text in texts if find(text)]
    assert len(texts) > 3_000
    assert len(alarms) / len(texts) < 0.02, alarms[:20]


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not there")
def test_exam_questions_hold_no_personal_data() -> None:
    import gzip

    with gzip.open(SHARED / "recorded/mmlu_pro_questions_sample.jsonl.gz") as file:
        texts = ["\n".join([row["question"], *row["options"]]) for row in map(json.loads, file)]
    assert sum(bool(find(text)) for text in texts) / len(texts) < 0.005


def test_a_redacted_text_says_what_stood_there() -> None:
    text = "Mail jane@example.com and bob@example.com, or jane@example.com again; card 4111 1111 1111 1111."
    made = redaction([text])
    hidden = made.hide(text)
    assert hidden == "Mail [EMAIL_1] and [EMAIL_2], or [EMAIL_1] again; card [CARD_1]."
    assert made.restore(hidden) == text
    assert made.restore("ask \\[email\\_2\\]") == "ask bob@example.com"


def test_a_placeholder_that_the_item_holds_is_not_taken() -> None:
    text = "[EMAIL_1] is jane@example.com"
    made = redaction([text])
    assert made.hide(text) == "[EMAIL_1] is [EMAIL_2]"
    assert made.restore(made.hide(text)) == text


def test_restored_values_stay_json_in_json() -> None:
    made = redaction(["-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
    answer = made.restore('{"key": "[SECRET_1]"}', in_json=True)
    assert json.loads(answer)["key"].startswith("-----BEGIN PRIVATE KEY-----\n")


def test_a_value_is_hidden_in_other_words_too() -> None:
    """A candidate that another model wrote may quote the item where nothing beside it says what the number is."""
    made = redaction(["my pin is 4821"])
    assert made.hide("The pin 4821 was used; 48210 was not.") == "The pin [SECRET_1] was used; 48210 was not."


@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=4))
def test_what_is_redacted_comes_back_whole_and_holds_nothing(seeds: list[int]) -> None:
    text = "\n".join(plant(random.Random(seed))[2] for seed in seeds)
    made = redaction([text])
    hidden = made.hide(text)
    assert made.restore(hidden) == text
    assert redaction([text]) == made
    assert all(value not in hidden for value, _ in made.values if len(value) > 8)
    assert redactable([text]) == (find(hidden) == ())


def test_an_item_with_very_many_values_is_not_redacted() -> None:
    assert redactable([" ".join(f"u{n}@example.com" for n in range(MOST_VALUES))])
    assert not redactable([" ".join(f"u{n}@example.com" for n in range(MOST_VALUES + 1))])


def test_every_kind_is_planted() -> None:
    assert {*KINDS, privacy.ACCOUNT} == set(privacy.KINDS)
    assert Span("email", 0, 1) == Span("email", 0, 1)


def test_a_number_that_goes_on_is_nobodys() -> None:
    assert [s.kind for s in find("DNI 00000010X")] == ["national-id"]
    for text in ("ref 00000010Xx", "ref 00000010XAB", "a00000010X", "case 00000010xxxxxxxx"):
        assert find(text) == (), text
