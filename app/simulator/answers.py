"""What the simulated models say: ``[answers]`` of the weather file.

    [answers]
    kind = "gold"                      # gold | recorded | echo | fixed | scripted | journalist
    file = "items.csv"                 # gold: CSV or JSONL; a relative path starts at the weather file
    text_column = "text"
    gold_column = "gold"
    error_rate = { default = 0.1, "llama-3.1-8b" = 0.2 }
    style = { default = "plain", "llama-3.1-8b" = "json" }   # plain | quoted | json | fence | prose

    kind = "recorded"                  # questions and raw outputs of real models, answered word for word
    directory = "recorded"
    models = { "fleet-id" = "Meta-Llama-3_1-70B-Instruct" }

    kind = "fixed"
    text = "the same for everyone"

    kind = "scripted"                  # line by line, see app.simulator.scripted

    kind = "journalist"                # sorts, writes and checks by what stands in the call: app.simulator.journalist
    error_rate = { default = 0.05 }    # of the labels
    lies = { default = 0.0, "llama-3.1-8b" = 0.3 }
    lie_kinds = ["number", "quote", "name"]
    gullible = { "llama-3.1-8b" = true }

Where a call holds several items, each is answered as it would be alone, whatever the kind; for all kinds:

    packs = { default = "careful", "llama-3.1-8b" = "sloppy" }   # careful | sloppy | gullible
    sloppy_rate = 0.1                  # of the ids of a sloppy model: left out, given twice, or not the item's

Everything said is a function of seed, model and prompt: no dice are thrown at call time.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import orjson

from app.simulator.ask import Ask
from app.simulator.finder import Finder
from app.simulator.journalist import read_journalist
from app.simulator.lies import Lie
from app.simulator.packs import MANNERS, items_of, said_of
from app.simulator.scripted import in_its_role, read_script, role_of
from app.simulator.weather import WeatherError, refuse_unknown, roll

PING = "Reply with exactly: OK"
STYLES = ("plain", "quoted", "json", "fence", "prose")


class Answers(Protocol):
    """One verb: what does this model say to this?"""

    def text(self, ask: Ask) -> str: ...


class Fixed(Answers):
    def __init__(self, text: str) -> None:
        self._text = text

    def text(self, ask: Ask) -> str:
        return self._text


class Echo(Answers):
    def text(self, ask: Ask) -> str:
        return ask.last_user


class Gold(Answers):
    """Knows the true label and misses it at a rate. A prompt without a known item gets a sentence."""

    def __init__(
        self, gold: Mapping[str, str], error_rate: Mapping[str, float], style: Mapping[str, str], seed: int
    ) -> None:
        self._gold = {text.strip(): label for text, label in gold.items()}
        self._labels = sorted(set(gold.values()))
        self._error_rate = error_rate
        self._style = style
        self._seed = seed
        self._finder = Finder(self._gold)

    def text(self, ask: Ask) -> str:
        item = _find(self._finder, ask)
        if item is None:
            return sentence(ask.model)
        label = self.label(ask.model, item)
        if role_of(ask) not in ("voice", "synthesiser"):
            return in_its_role(ask, label)
        key = ask.json_key
        style = "json" if key else self._style.get(ask.model, self._style.get("default", "plain"))
        return _styled(label, style, key or "label")

    def label(self, model: str, item: str) -> str:
        """The label this model gives this item, now and always."""
        gold = self._gold[item]
        rate = self._error_rate.get(model, self._error_rate.get("default", 0.0))
        if len(self._labels) < 2 or roll(self._seed, model, item, "errs") >= rate:
            return gold
        others = [label for label in self._labels if label != gold]
        return others[int(roll(self._seed, model, item, "which") * len(others))]


class Recorded(Answers):
    """Real models' raw outputs to real questions. Several questions with one wording are told apart by their options.

    A model id that is neither mapped nor recorded speaks with the voice of a recorded model chosen by hash.
    """

    def __init__(self, directory: Path, models: Mapping[str, str], seed: int) -> None:
        self._outputs: dict[int, dict[str, str]] = {}
        self._questions: dict[str, list[tuple[list[str], int]]] = {}
        for path in sorted(directory.glob("*.jsonl.gz")):
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                for line in lines:
                    row = orjson.loads(line)
                    if "outputs" in row:
                        self._outputs[row["question_id"]] = row["outputs"]
                    else:
                        known = self._questions.setdefault(row["question"].strip(), [])
                        known.append((row["options"], row["question_id"]))
        if not self._outputs or not self._questions:
            raise WeatherError(f"answers: {directory} holds no recorded questions and outputs (*.jsonl.gz)")
        self._voices = sorted({name for outputs in self._outputs.values() for name in outputs})
        strangers = sorted(set(models.values()) - set(self._voices))
        if strangers:
            raise WeatherError(f"answers: no recorded model {strangers[0]!r}; there are {', '.join(self._voices)}")
        self._models = models
        self._seed = seed
        self._finder = Finder(self._questions)

    def text(self, ask: Ask) -> str:
        question = _find(self._finder, ask)
        if question is None:
            return sentence(ask.model)
        prompt = "\n".join(text for _, text in ask.messages)
        known = self._questions[question]
        _, number = max(known, key=lambda row: sum(option in prompt for option in row[0])) if known[1:] else known[0]
        return self._outputs.get(number, {}).get(self._voice(ask.model)) or sentence(ask.model)

    def _voice(self, model: str) -> str:
        if model in self._models:
            return self._models[model]
        if model in self._voices:
            return model
        return self._voices[int(roll(self._seed, model) * len(self._voices))]


class Packs(Answers):
    """Tells a call that holds several items apart, and answers each of them as if it were alone.

    A gullible model obeys an item that tells it what to say of the others; a sloppy one misplaces ids.
    """

    def __init__(self, one: Answers, manners: Mapping[str, str], sloppy_rate: float, seed: int) -> None:
        self._one = one
        self._manners = manners
        self._sloppy_rate = sloppy_rate
        self._seed = seed

    def text(self, ask: Ask) -> str:
        items = items_of(ask.last_user)
        if not items:
            return self._one.text(ask)
        manner = self._manners.get(ask.model, self._manners.get("default", "careful"))
        said = {name: self._one.text(_alone(ask, text)) for name, text in items.items()}
        return said_of(
            said, items, manner, lambda name: roll(self._seed, ask.model, items[name], "id"), self._sloppy_rate
        )


def _alone(ask: Ask, text: str) -> Ask:
    before = tuple((role, said) for role, said in ask.messages if role != "user")
    return replace(ask, messages=(*before, ("user", text)), json_key=None)


def sentence(model: str) -> str:
    """What a model says to a prompt it knows nothing about."""
    return f"This is what {model} has to say: the matter was considered with care, and the answer is yes."


def is_ping(ask: Ask) -> bool:
    return ask.last_user.strip() == PING


def _find(finder: Finder, ask: Ask) -> str | None:
    """The item of a call: looked for in the last message of the user, then in those before it."""
    for role, text in reversed(ask.messages):
        if role == "user":
            found = finder.find(text)
            if found is not None:
                return found
    return None


def _styled(label: str, style: str, key: str) -> str:
    match style:
        case "quoted":
            return f'"{label}"'
        case "json":
            return json.dumps({key: label}, ensure_ascii=False)
        case "fence":
            return f"```json\n{json.dumps({key: label}, ensure_ascii=False)}\n```"
        case "prose":
            return f"The answer is {label}."
        case _:
            return label


_KEYS: dict[str, tuple[str, ...]] = {
    "gold": ("file", "text_column", "gold_column", "error_rate", "style"),
    "recorded": ("directory", "models"),
    "echo": (),
    "fixed": ("text",),
    "scripted": ("text", "line"),
    "journalist": ("error_rate", "lies", "lie_kinds", "gullible"),
}


def read_answers(data: Mapping[str, Any] | None, base: Path, seed: int, lies: dict[Lie, None] | None = None) -> Answers:
    """From the parsed ``[answers]`` table; relative paths start at ``base``. ``lies``: where those that are told are
    written down, each once, in their order. Raises ``WeatherError``."""
    if data is None:
        return Fixed("This is a simulated answer.")
    kind = data.get("kind")
    if kind not in _KEYS:
        raise WeatherError(f"answers: kind must be one of {', '.join(_KEYS)}, not {kind!r}")
    refuse_unknown(data, ("kind", "packs", "sloppy_rate", *_KEYS[kind]), f"answers ({kind})")
    for key in {"gold": ("file",), "recorded": ("directory",)}.get(kind, ()):
        if key not in data:
            raise WeatherError(f"answers ({kind}): {key} is missing")
    if kind == "recorded":
        return Recorded(base / data["directory"], data.get("models", {}), seed)
    if kind == "echo":
        return Echo()
    if kind == "fixed":
        return Fixed(str(data.get("text", "This is a simulated answer.")))
    if kind == "scripted":
        return read_script(data)
    if kind == "journalist":
        return read_journalist(data, seed, {} if lies is None else lies)
    style = data.get("style", {})
    for name in style.values():
        if name not in STYLES:
            raise WeatherError(f"answers (gold): style must be one of {', '.join(STYLES)}, not {name!r}")
    gold = _read_gold(base / data["file"], data.get("text_column", "text"), data.get("gold_column", "gold"))
    return Gold(gold, {name: float(rate) for name, rate in data.get("error_rate", {}).items()}, style, seed)


def read_packs(data: Mapping[str, Any] | None, base: Path, seed: int, lies: dict[Lie, None] | None = None) -> Packs:
    """As ``read_answers``, for calls of several items too."""
    said = data or {}
    manners = said.get("packs", {})
    for manner in manners.values():
        if manner not in MANNERS:
            raise WeatherError(f"answers: packs must be one of {', '.join(MANNERS)}, not {manner!r}")
    return Packs(read_answers(data, base, seed, lies), manners, float(said.get("sloppy_rate", 0.1)), seed)


def _read_gold(path: Path, text_column: str, gold_column: str) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in file if line.strip()] if path.suffix == ".jsonl" else []
            rows = [json.loads(line) for line in lines] if lines else list(csv.DictReader(file))
        return {str(row[text_column]): str(row[gold_column]) for row in rows}
    except (OSError, ValueError) as error:
        raise WeatherError(f"answers (gold): {path}: {error}") from error
    except KeyError as error:
        raise WeatherError(f"answers (gold): {path} has no column {error}") from error
