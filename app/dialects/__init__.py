"""Floor 1. One file a wire protocol: say(request) and hear(response), pure."""

from collections.abc import Mapping
from typing import Protocol

from app.core.values import Answer, Failure, Request
from app.dialects import anthropic, cloudflare, cohere, gemini, ollama, openai, openai_responses
from app.dialects.manners import Manners
from app.dialects.wireform import Said


class Dialect(Protocol):
    """What a protocol's module offers."""

    def authorize(self, key: str, /) -> dict[str, str]:
        """The headers that carry the key."""
        ...

    def say(self, request: Request, manners: Manners | None = None, /) -> Said:
        """The HTTP request for ``request``; without ``manners`` as the protocol's own vendor takes it."""
        ...

    def hear(self, status: int, headers: Mapping[str, str], body: bytes, /) -> Answer | Failure: ...


DIALECTS: dict[str, Dialect] = {
    "openai": openai,
    "openai_responses": openai_responses,
    "anthropic": anthropic,
    "gemini": gemini,
    "cohere": cohere,
    "cloudflare": cloudflare,
    "ollama": ollama,
}
