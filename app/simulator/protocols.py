"""The protocols that the simulator speaks, by the fleet file's names, and what each protocol's file offers.

What stands after ``/<provider>/`` in a path is that of the vendor's own host, so a base URL ends as it does there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from app.simulator import (
    anthropic_messages,
    cohere_chat,
    gemini_generate,
    ollama_chat,
    openai_chat,
    openai_responses,
    workers_ai,
)
from app.simulator.ask import Ask, Reply, Stamp
from app.simulator.fleet import Provider
from app.simulator.heading import Heading, Target
from app.simulator.manners import Vendor
from app.simulator.vendors import vendor_of


class Speech(Protocol):
    """What a protocol's module offers."""

    def find(self, path: str, heading: Heading, /) -> Target | None:
        """The call that a POST to ``path`` is; ``None``: it is none of this protocol's."""
        ...

    def key_of(self, headers: Mapping[str, str], /) -> str:
        """The caller's key, empty for none."""
        ...

    def read(self, body: bytes, target: Target, /) -> Ask:
        """Raises ``BadRequest``."""
        ...

    def write(self, ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor, /) -> dict[str, Any]:
        """The body of a 200."""
        ...

    def stream(self, ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor, /) -> tuple[str, list[bytes]]:
        """The content type and the pieces of a streamed 200."""
        ...

    def hollow(self, data: dict[str, Any], /) -> None:
        """Leave the answer out of what ``write`` gave."""
        ...

    def listing(self, path: str, provider: Provider, /) -> dict[str, Any] | None:
        """What a GET of ``path`` says of the provider's models; ``None``: nothing is there."""
        ...


SPOKEN: dict[str, tuple[Speech, ...]] = {
    # OpenAI answers both of its protocols at one address.
    "openai": (openai_chat, openai_responses),
    "openai_responses": (openai_responses, openai_chat),
    "anthropic": (anthropic_messages,),
    "gemini": (gemini_generate,),
    "cohere": (cohere_chat,),
    "cloudflare": (workers_ai,),
    "ollama": (ollama_chat,),
}
_MANNERS = {
    "anthropic": anthropic_messages.MANNERS,
    "gemini": gemini_generate.MANNERS,
    "cohere": cohere_chat.MANNERS,
    "cloudflare": workers_ai.MANNERS,
    "ollama": ollama_chat.MANNERS,
}


def manners_of(provider: Provider) -> Vendor:
    """By the protocol; of those who speak OpenAI's, by the vendor that the provider is named after."""
    return _MANNERS.get(provider.protocol) or vendor_of(provider.name)
