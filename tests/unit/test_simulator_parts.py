"""Money, books, tokens, weather, answers and manners of the simulated fleet, without a socket."""

from __future__ import annotations

import hashlib
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.simulator.answers import Gold, Recorded, read_answers
from app.simulator.ask import Ask, BadRequest, compose
from app.simulator.books import CLIENT_GONE, UNREADABLE, Books, key_mark
from app.simulator.finder import Finder
from app.simulator.fleet import Price
from app.simulator.heading import Target
from app.simulator.manners import Fault, duration
from app.simulator.meter import Refusal, Standing
from app.simulator.openai_chat import read
from app.simulator.vendors import VENDORS, vendor_of
from app.simulator.weather import Weather, WeatherError, lognormal, roll


def ask(text: str, model: str = "m", **more: Any) -> Ask:
    return Ask(model, (("user", text),), **more)


# Money and books


@pytest.mark.parametrize(
    ("input_usd", "output_usd", "prompt", "completion", "micro"),
    [
        ("0.05", "0.08", 1000, 100, 58),
        ("0.05", "0", 10, 0, 1),  # 0.5 is rounded up
        ("0.05", "0", 9, 0, 0),
        ("0.1", "0.2", 1, 2, 1),
        ("15", "75", 3, 2, 195),
        ("0", "0", 10**6, 10**6, 0),
    ],
)
def test_money_is_rounded_half_up_from_exact_prices(
    input_usd: str, output_usd: str, prompt: int, completion: int, micro: int
):
    assert Price.of(Decimal(input_usd), Decimal(output_usd)).micro(prompt, completion) == micro


rows = st.lists(
    st.tuples(
        st.sampled_from(("a", "b")),
        st.sampled_from(("m", "n")),
        st.sampled_from((200, 429, 500, 0)),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.text(max_size=8),
    )
)


@given(rows)
def test_the_books_give_back_what_was_written_and_their_sums(calls: list[tuple[str, str, int, int, int, str]]):
    books = Books()
    for place, (provider, model, status, prompt, completion, ref) in enumerate(calls):
        books.record(
            arrived_at=float(place),
            provider=provider,
            model=model,
            key="k",
            status=status,
            prompt_tokens=prompt,
            completion_tokens=completion,
            money_micro=prompt + completion,
            request_ref=ref,
        )
    pages = [row for after in range(0, len(calls), 3) for row in books.calls(after, 3)]
    assert [
        (r["provider"], r["model"], r["status"], r["prompt_tokens"], r["completion_tokens"], r["request_ref"])
        for r in pages
    ] == calls
    assert [row["seq"] for row in pages] == list(range(1, len(calls) + 1))
    for provider, totals in books.providers.items():
        own = [call for call in calls if call[0] == provider]
        assert totals.answered == sum(call[2] == 200 for call in own)
        assert totals.refused == sum(call[2] == 429 for call in own)
        assert totals.failed == sum(call[2] in (500, 0) for call in own)
        assert totals.money_micro == sum(call[3] + call[4] for call in own)
    assert sum(totals["prompt_tokens"] for totals in books.usage(0, len(calls)).values()) == books.total.prompt_tokens


def test_flags_and_keys_in_the_books():
    books = Books()
    books.record(
        arrived_at=0, provider="a", model="m", key=key_mark("sk-secret"), status=200, flags=CLIENT_GONE | UNREADABLE
    )
    row = books.calls(0, 1)[0]
    assert row["client_gone"] and row["unreadable"]
    assert (books.total.client_gone, books.total.unreadable) == (1, 1)
    assert row["key"] == hashlib.sha256(b"sk-secret").hexdigest()[:8]
    assert key_mark("") == "-"


# Tokens


def test_tokens_are_four_characters_and_four_for_each_message():
    body = {"model": "m", "messages": [{"role": "system", "content": "12345"}, {"role": "user", "content": "1234"}]}
    assert read(json.dumps(body).encode(), Target()).prompt_tokens == 3 + 8
    reply = compose(ask("x"), "", "12345")
    assert (reply.completion_tokens, reply.reasoning_tokens, reply.cut) == (2, 0, False)
    assert compose(ask("x"), "", "").completion_tokens == 1


@given(st.text(max_size=60), st.text(max_size=60), st.integers(1, 30), st.booleans(), st.booleans())
def test_max_tokens_holds_and_thoughts_come_first(text: str, thoughts: str, room: int, leak: bool, unclosed: bool):
    free = compose(ask("x"), thoughts, text, leak=leak, unclosed=unclosed)
    reply = compose(ask("x", max_tokens=room), thoughts, text, leak=leak, unclosed=unclosed)
    assert reply.completion_tokens == min(room, free.completion_tokens)
    assert reply.cut == (free.completion_tokens > room)
    assert reply.reasoning_tokens == min(room, free.reasoning_tokens)
    assert free.text.startswith(reply.text)
    assert len(reply.text) + len(reply.reasoning) <= 4 * room or not reply.cut


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"model": "m"}',
        b'{"model": "m", "messages": []}',
        b'{"model": "m", "messages": [{"role": "user"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0}',
    ],
)
def test_bodies_that_are_not_the_protocol(body: bytes):
    with pytest.raises(BadRequest):
        read(body, Target())


# Weather


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"events": []}, "unknown key 'events'; did you mean 'event'"),
        ({"event": [{"kind": "outage", "provider": "*"}, {"kind": "outage", "provider": "a", "fron_s": 1}]}, "event 2"),
        ({"event": [{"kind": "outage", "provider": "a", "fron_s": 1}]}, "did you mean 'from_s'"),
        ({"event": [{"kind": "storm", "provider": "a"}]}, "no such kind"),
        ({"event": [{"kind": "outage"}]}, "provider is missing"),
        ({"event": [{"kind": "error", "provider": "a", "status": 404}]}, "status must be one of"),
        ({"event": [{"kind": "error", "provider": "a", "probability": 2}]}, "probability must be a number from 0 to 1"),
        ({"event": [{"kind": "limits", "provider": "a"}]}, "names no limit"),
        ({"event": [{"kind": "error", "provider": "a", "html": 1}]}, "html must be true or false"),
        ({"event": [{"kind": "header_limits", "provider": "a"}]}, "names no limit"),
        ({"event": [{"kind": "prompt_cache", "provider": "a", "share": 2}]}, "share must be a number from 0 to 1"),
        ({"event": [{"kind": "content_filter", "provider": "a", "stage": "x"}]}, "stage must be one of answer, prompt"),
        ({"event": [{"kind": "revoked_key", "provider": "a"}]}, "key is missing"),
        ({"event": [{"kind": "revoked_key", "provider": "a", "key": "sk-secret"}]}, "first 8 hex digits"),
    ],
)
def test_weather_that_is_wrong_is_refused_by_name(data: dict[str, Any], words: str):
    with pytest.raises(WeatherError) as caught:
        Weather.of(data, seed=0, began=0.0)
    assert words in str(caught.value)


def test_weather_is_the_same_for_the_same_seed_and_strikes_at_its_rate():
    data = {"event": [{"kind": "error", "provider": "a", "probability": 0.3}]}
    first, again, other = (Weather.of(data, seed=seed, began=0.0) for seed in (1, 1, 2))
    struck = [first.strike("error", "a", "m", 1.0, call) is not None for call in range(5000)]
    assert struck == [again.strike("error", "a", "m", 1.0, call) is not None for call in range(5000)]
    assert struck != [other.strike("error", "a", "m", 1.0, call) is not None for call in range(5000)]
    assert sum(struck) / 5000 == pytest.approx(0.3, abs=0.03)


def test_weather_has_its_hours_and_places():
    weather = Weather.of(
        {
            "event": [
                {"kind": "outage", "provider": "a", "model": "m", "from_s": 10, "to_s": 20},
                {"kind": "limits", "provider": "a", "rpm": 5},
                {"kind": "limits", "provider": "*", "model": "m", "tpm": 7},
            ]
        },
        seed=0,
        began=100.0,
    )
    hits = [now for now in (109.9, 110.0, 119.9, 120.0) if weather.strike("outage", "a", "m", now, 1)]
    assert hits == [110.0, 119.9]
    assert weather.strike("outage", "a", "n", 115.0, 1) is None
    assert weather.strike("outage", "b", "m", 115.0, 1) is None
    assert weather.limit_changes("a", "m", 100.0) == ({"rpm": 5}, {"tpm": 7})
    assert weather.limit_changes("b", "n", 100.0) == ({}, {})


def test_latency_has_the_mean_it_is_given():
    draws = [lognormal(200.0, 0.5, roll("latency", call)) for call in range(5000)]
    assert sum(draws) / len(draws) == pytest.approx(200.0, rel=0.03)
    assert min(draws) > 0
    assert lognormal(200.0, 0, 0.9) == 200.0


# Answers

GOLD = {f"question number {number}, please?": f"label_{number % 7}" for number in range(700)}


def gold(seed: int = 0, **style: str) -> Gold:
    return Gold(GOLD, {"default": 0.2, "sure": 0.0}, style, seed)


def test_gold_answers_are_the_same_for_ever_and_wrong_at_their_rate():
    model, again, other_seed = gold(), gold(), gold(seed=1)
    said = [model.label("m", text) for text in GOLD]
    assert said == [again.label("m", text) for text in GOLD]
    wrong = sum(label != truth for label, truth in zip(said, GOLD.values(), strict=True))
    assert wrong / len(GOLD) == pytest.approx(0.2, abs=0.05)
    assert set(said) == set(GOLD.values())
    assert [model.label("sure", text) for text in GOLD] == list(GOLD.values())
    assert said != [model.label("n", text) for text in GOLD]
    assert said != [other_seed.label("m", text) for text in GOLD]


@pytest.mark.parametrize(
    ("style", "said"),
    [
        ("plain", "label_3"),
        ("quoted", '"label_3"'),
        ("json", '{"label": "label_3"}'),
        ("fence", '```json\n{"label": "label_3"}\n```'),
        ("prose", "The answer is label_3."),
    ],
)
def test_gold_answers_come_in_styles(style: str, said: str):
    assert gold(default="plain", sure=style).text(ask("question number 3, please?", "sure")) == said


def test_json_is_answered_where_json_is_demanded():
    schema = {"type": "json_schema", "json_schema": {"schema": {"properties": {"intent": {"type": "string"}}}}}
    message = {"role": "user", "content": "question number 3, please?"}
    demanded = read(json.dumps({"model": "sure", "messages": [message], "response_format": schema}).encode(), Target())
    assert gold().text(demanded) == '{"intent": "label_3"}'


def test_the_item_is_found_in_an_earlier_message_where_the_last_has_none():
    call = Ask("sure", (("user", "question number 5, please?"), ("user", "Candidate 1: something. Write it.")))
    assert gold().text(call) == "label_5"
    assert "sure" in gold().text(ask("write tonight's newspaper", "sure"))


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("card lost", "card lost"),
        ("  card lost\n", "card lost"),
        ("Classify.\ncard lost\nAnswer:", "card lost"),
        ("Text: card lost", "card lost"),
        ("<item>card lost abroad, help</item>", "card lost abroad, help"),
        ("Q: two\nlines here\nA:", "two\nlines here"),
        ("two\nlines here", "two\nlines here"),
        ("a discard lost", None),
        ("is it top up", "top up"),
        ("is it top upper", None),
        ("nothing of this", None),
    ],
)
def test_the_longest_item_that_stands_in_the_message_is_found(message: str, found: str | None):
    finder = Finder(["card lost", "card lost abroad, help", "two\nlines here", "lines here", "top up"])
    assert finder.find(message) == found


def test_answers_that_are_wrong_are_refused(tmp_path: Path):
    (tmp_path / "gold.csv").write_text("text,category\nhello,greeting\n")
    with pytest.raises(WeatherError, match="no column 'gold'"):
        read_answers({"kind": "gold", "file": "gold.csv"}, tmp_path, 0)
    with pytest.raises(WeatherError, match="did you mean 'error_rate'"):
        read_answers({"kind": "gold", "file": "gold.csv", "eror_rate": {}}, tmp_path, 0)
    with pytest.raises(WeatherError, match="kind must be one of"):
        read_answers({"kind": "golden"}, tmp_path, 0)
    with pytest.raises(WeatherError, match="file is missing"):
        read_answers({"kind": "gold"}, tmp_path, 0)
    with pytest.raises(WeatherError, match="style must be one of"):
        read_answers({"kind": "gold", "file": "gold.csv", "gold_column": "category", "style": {"m": "x"}}, tmp_path, 0)
    read = read_answers({"kind": "gold", "file": "gold.csv", "gold_column": "category"}, tmp_path, 0)
    assert read.text(ask("hello")) == "greeting"


def test_recorded_models_speak_word_for_word():
    shared = Path(os.environ.get("SWITCHYARD_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (shared / "recorded").is_dir():
        pytest.skip("no recorded councils: SWITCHYARD_SHARED_DATA is not set and ../shared/data is not there")
    answers = read_answers(
        {"kind": "recorded", "directory": "recorded", "models": {"big": "Meta-Llama-3_1-70B-Instruct"}}, shared, 0
    )
    assert isinstance(answers, Recorded)
    question = (
        "Pine and Gilmore (1999) derive four distinct realms of experience, based on two dimensions. "
        "What are these dimensions?"
    )
    said = answers.text(ask(f"Answer with a letter.\n{question}\nA. Customer participation", "big"))
    assert said.startswith(" We refer to Wikipedia articles on marketing for help.")
    assert said.endswith("The answer is (D).\n\n")
    assert said != answers.text(ask(question, "Mistral-7B-Instruct-v0.2"))
    with pytest.raises(WeatherError, match="no recorded model"):
        read_answers({"kind": "recorded", "directory": "recorded", "models": {"big": "gpt-9"}}, shared, 0)


# Manners

DAILY = Refusal("tpd", 100_000, 98_940, 2_201, 985.824)
MINUTE = Refusal("rpm", 30, 30, 1, 1.9996)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0102, "11ms"), (7.66, "7.66s"), (179.56, "2m59.56s"), (985.824, "16m25.824s"), (3603.0, "1h0m3s"), (-1, "0ms")],
)
def test_durations_are_written_as_vendors_write_them(seconds: float, text: str):
    assert duration(seconds) == text


def test_groq_words_its_refusals():
    vendor = vendor_of("groq-free")
    error = vendor.body(Fault("limit", 429, "llama", refusal=DAILY))["error"]
    assert (
        "tokens per day (TPD): Limit 100000, Used 98940, Requested 2201. Please try again in 16m25.824s"
        in (error["message"])
    )
    assert (error["type"], error["code"]) == ("tokens", "rate_limit_exceeded")
    error = vendor.body(Fault("limit", 429, "llama", refusal=MINUTE))["error"]
    assert "requests per minute (RPM): Limit 30, Used 30, Requested 1. Please try again in 2s" in error["message"]
    assert vendor.refused(MINUTE, 0.0) == {"retry-after": "2"}
    standings = {"rpm": Standing(30, 29, 60.0), "rpd": Standing(14400, 14399, 100.0), "tpm": Standing(6000, 10, 52.1)}
    assert vendor.standing(standings, 0.0) == {
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "14399",
        "x-ratelimit-reset-requests": "1m40s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "10",
        "x-ratelimit-reset-tokens": "52.1s",
    }


def test_the_other_vendors_have_their_own_ways():
    assert vendor_of("cerebras").body(Fault("limit", 429, "m", refusal=DAILY)) == {
        "message": "Tokens per day limit exceeded - too many tokens processed.",
        "type": "too_many_tokens_error",
        "param": "quota",
        "code": "token_quota_exceeded",
    }
    assert vendor_of("mistral").body(Fault("limit", 429, "m", refusal=MINUTE)) == {
        "message": "Requests rate limit exceeded"
    }
    assert vendor_of("mistral").body(Fault("auth", 401)) == {"detail": "Invalid API Key"}
    assert vendor_of("openrouter").refused(MINUTE, 1_754_667_658.0)["x-ratelimit-reset"] == "1754667660000"
    assert vendor_of("nvidia").body(Fault("limit", 429, refusal=MINUTE)) == {
        "status": 429,
        "title": "Too Many Requests",
    }
    assert vendor_of("nobody-knows-it") is VENDORS["openai"]


@pytest.mark.parametrize("name", VENDORS)
def test_every_vendor_says_so_when_it_is_the_day_that_is_used_up(name: str):
    text = json.dumps(VENDORS[name].body(Fault("limit", 429, "m", refusal=DAILY))).lower()
    assert "per day" in text or "per-day" in text
    minute = json.dumps(VENDORS[name].body(Fault("limit", 429, "m", refusal=MINUTE))).lower()
    assert "day" not in minute.replace("upgrade to dev tier today", "")


def test_a_key_pasted_into_the_weather_is_not_repeated():
    with pytest.raises(WeatherError) as caught:
        Weather.of({"event": [{"kind": "revoked_key", "provider": "a", "key": "sk-secret"}]}, seed=0, began=0.0)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize(("rule", "word"), [("rph", "hour"), ("tph", "hour"), ("rpmo", "month"), ("tpmo", "month")])
def test_no_vendor_takes_an_hour_or_a_month_for_a_day(name: str, rule: str, word: str):
    text = json.dumps(VENDORS[name].body(Fault("limit", 429, "m", refusal=Refusal(rule, 30, 30, 1, 9.0)))).lower()
    assert "per day" not in text
    if name != "nvidia" or word == "month":  # it tells of quotas alone
        assert word in text or f"limit_{rule}" in text


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("auth", 401),
        ("billing", 400),
        ("billing", 402),
        ("billing", 403),
        ("billing", 429),
        ("model", 404),
        ("server", 503),
        ("overloaded", 503),
        ("context", 400),
        ("filter", 400),
    ],
)
def test_every_vendor_has_words_for_every_fault(name: str, kind: str, status: int):
    body = VENDORS[name].body(Fault(kind, status, "m"))
    assert len(json.dumps(body)) > 20
