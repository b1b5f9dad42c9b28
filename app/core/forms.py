"""The prompt forms that families of models work best with, as data: only differences with a documented reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Form:
    """``system``: instructions may stand in a system message; else they open the user's, and the item follows.

    ``unthinking``: said after the instructions, it keeps a model that thinks unless it is told not to from thinking.
    ``tagged``: the item stands between tags.
    """

    system: bool = True
    unthinking: str = ""
    tagged: bool = False


_PLAIN = Form()
_FORMS: tuple[tuple[str, Form], ...] = (
    # "Instruction-tuned models … work with two roles only: user and model … provide system-level instructions directly
    # within the initial user prompt" (ai.google.dev/gemma/docs/formatting, for Gemma 1 to 3).
    (r"gemma-?[123](?!\d)", Form(system=False)),
    # "/think and /no_think in user prompts or system messages" (huggingface.co/Qwen/Qwen3-32B): the first generation's
    # hybrids only. Later ones are either of the two (2507) or have no such switch (3.5 and later).
    (r"qwen-?3-(?:\d+(?:\.\d+)?b(?!.*(?:2507|instruct|thinking))(?:-a\d+b)?$)", Form(unthinking="/no_think")),
    # "Use XML tags to structure your prompts" (docs.claude.com, prompt engineering).
    (r"claude", Form(tagged=True)),
)


@lru_cache(maxsize=1024)
def form_of(family: str, capabilities: frozenset[str] = frozenset()) -> Form:
    """The form for a family, as the fleet file names it. ``no-system`` among the capabilities has the last say."""
    name = family.lower()
    form = next((form for pattern, form in _FORMS if re.search(pattern, name)), _PLAIN)
    return Form(False, form.unthinking, form.tagged) if "no-system" in capabilities else form
