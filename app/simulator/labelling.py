"""Which label the simulated journalist gives, by nothing but the words that stand in the call.

The prompt describes the labels, a line each (``- town: councils, schools, roads``). An item that holds two texts
(``{"first": …, "second": …}``) is asked whether they are the same.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from app.simulator.comparing import likeness, stem, stems, words

_LABELS = re.compile(r"^Labels:\n((?:- .*(?:\n|\Z))+)", re.MULTILINE)
_DESCRIBED = re.compile(r"^\W*(.+?)\W*\s*[:=–—]\s+(.+)$", re.MULTILINE)
_QUOTED = re.compile(r"[\"“„][^\"“”„]*[\"”“]")
_SAME_STORY = 0.42
_TITLE_COUNTS = 2

_WEIGHTY = {
    3: "killed dead dies war election earthquake explosion",
    2: "record budget rescued crash flood strike billion reopens reopened discovered comet lost ferry lifeboat",
    1: "million jobs council hospital closes close closed wins win champion county final cup crowd beat fire vote "
    "schools found passengers patients finest finish trains",
}
_WEIGHTS = {stem(word): weight for weight, row in _WEIGHTY.items() for word in row.split()}
_FRONT, _MAJOR = 6, 3
_SELLS = re.compile(
    r"\b(?:order now|buy|half-price|special offer|save up to|absolutely free|free brochure|call us|showroom|discount|"
    r"terms and conditions|no obligation|do not miss)\b",
    re.IGNORECASE,
)
_ARGUES = re.compile(r"\b(?:I|my|in my view|we should|I believe)\b")
_LEAST_ARGUED, _LEAST_SOLD = 3, 2
_TONGUES = {
    "english": "the of and to in was that it for with on is by from at are",
    "german": "der die das und ist nicht mit von den ein eine auf für zu auch",
    "french": "le la les et des est une dans pour que qui sur pas avec du",
    "spanish": "el la los las y de que en una por con para es del se",
    "italian": "il di che la e per una con non del sono della gli nel",
    "dutch": "de het een van en dat niet met voor zijn op te ook aan",
}
_CODES = {"en": "english", "de": "german", "fr": "french", "es": "spanish", "it": "italian", "nl": "dutch"}


def labels_of(instruction: str) -> tuple[str, ...]:
    """The labels to choose from; empty where there are none."""
    found = _LABELS.search(instruction)
    return tuple(line.removeprefix("- ") for line in found[1].splitlines()) if found else ()


def label_for(labels: Sequence[str], instruction: str, item: str) -> str:
    """The label that fits best; of two that fit as well, the one that stands first."""
    pair = _pair(item)
    if pair is not None:
        return _by_likeness(labels, pair)
    lowered = {label.lower(): label for label in labels}
    if {"front", "minor"} <= lowered.keys():
        return _among(lowered, labels, _importance(item))
    if "opinion" in lowered:
        return _among(lowered, labels, _genre(item))
    tongues = {label: _CODES.get(label.lower(), label.lower()) for label in labels}
    if any(tongue in _TONGUES for tongue in tongues.values()):
        found = _tongue(item)
        return next((label for label, tongue in tongues.items() if tongue == found), labels[-1])
    return _by_words(labels, _described(labels, instruction), item)


def _pair(item: str) -> tuple[str, str] | None:
    try:
        data = json.loads(item)
    except ValueError:
        return None
    if not isinstance(data, dict) or not {"first", "second"} <= data.keys():
        return None
    return _whole(data["first"]), _whole(data["second"])


def _whole(text: Any) -> str:
    return f"{text.get('title', '')}\n{text.get('text', '')}" if isinstance(text, dict) else str(text)


def _by_likeness(labels: Sequence[str], pair: tuple[str, str]) -> str:
    yes = next((label for label in labels if re.search(r"\b(?:same|yes|one)\b", label.lower())), labels[0])
    no = next((label for label in labels if label != yes), yes)
    return yes if likeness(*pair) >= _SAME_STORY else no


def _importance(item: str) -> str:
    if _genre(item) == "opinion":
        return "major"
    weight = sum(_WEIGHTS.get(word, 0) for word in stems(item))
    return "front" if weight >= _FRONT else "major" if weight >= _MAJOR else "minor"


def _genre(item: str) -> str:
    own_words = _QUOTED.sub("", item)
    if len(_SELLS.findall(own_words)) >= _LEAST_SOLD:
        return "advertisement"
    return "opinion" if len(_ARGUES.findall(own_words)) >= _LEAST_ARGUED else "news"


def _tongue(item: str) -> str:
    counts = Counter(words(item))
    scores = {tongue: sum(counts[word] for word in listed.split()) for tongue, listed in _TONGUES.items()}
    best = max(scores, key=lambda tongue: scores[tongue])
    return best if scores[best] else ""


def _among(lowered: Mapping[str, str], labels: Sequence[str], wanted: str) -> str:
    return lowered.get(wanted, labels[-1])


def _described(labels: Sequence[str], instruction: str) -> dict[str, str]:
    """What the prompt says of each label."""
    said = {found[1].strip().lower(): found[2] for found in _DESCRIBED.finditer(instruction)}
    return {label: said.get(label.lower(), "") for label in labels}


def _by_words(labels: Sequence[str], described: Mapping[str, str], item: str) -> str:
    """Each word of the item that describes a label speaks for it, the more so the fewer labels it describes; in the
    title it counts twice."""
    about = {label: stems(f"{label} {described[label]}") for label in labels}
    held_by = Counter(word for told in about.values() for word in told)
    title, _, text = item.partition("\n")
    counts = Counter(stem(word) for word in words(text))
    counts.update({stem(word): _TITLE_COUNTS for word in words(title)})
    scores = {
        label: sum(min(counts[word], 3) / held_by[word] for word in told if counts[word])
        for label, told in about.items()
    }
    return max(labels, key=lambda label: scores[label])
