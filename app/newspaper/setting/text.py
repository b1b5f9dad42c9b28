"""Text and addresses of others, made fit to be set. Nothing here trusts what came in, whoever cleaned it before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel

MOST_URL = 2_000

# What no HTML or XML document may hold (C0, C1, surrogates, noncharacters), and what changes the direction of the text
# around it or hides text from readers (Unicode 16, UAX 9: embeddings, overrides, isolates; UTS 51: tags).
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\uffff\ufdd0-\ufdef\ud800-\udfff"
    "\U000e0000-\U000e0fff"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "]"
)
_BLANKS = re.compile(r"\s+")
# RFC 3986: what stands in an address as it is; all else is percent-encoded.
_AS_IT_IS = "/?#@!$&'()*+,;=%:~-._[]"

Model = TypeVar("Model", bound=BaseModel)


def plain(text: str) -> str:
    """One line of text, without characters that cannot be printed or that turn the line around."""
    return _BLANKS.sub(" ", _UNPRINTABLE.sub("", text)).strip()


def cleaned(value: Model) -> Model:
    """The same value, each of its texts ``plain``."""
    fields = {name: _cleaned(getattr(value, name)) for name in type(value).model_fields}
    return value.model_copy(update=fields)


def _cleaned(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return cleaned(value)
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, tuple):
        return tuple(_cleaned(one) for one in value)
    if isinstance(value, Mapping):
        return {key: _cleaned(one) for key, one in value.items()}
    return value


def href(url: str) -> str:
    """The address as a link may have it: http or https, ASCII, without a user's name or password. Empty: no link."""
    url = plain(url)
    if not url or len(url) > MOST_URL or " " in url or "\\" in url:
        return ""
    try:
        parts = urlsplit(url)
        name = (parts.hostname or "").encode("idna").decode("ascii")
        port = f":{parts.port}" if parts.port is not None else ""
    except (ValueError, UnicodeError):
        return ""
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not re.fullmatch(r"[a-z0-9.:_-]+", name):
        return ""
    name = f"[{name}]" if ":" in name else name
    rest = parts._replace(scheme="", netloc="").geturl()
    rest = rest if not rest or rest[0] in "/?#" else f"/{rest}"
    rest = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", quote(rest, safe=_AS_IT_IS))
    return f"{parts.scheme}://{name}{port}{rest.replace('[', '%5B').replace(']', '%5D')}"


def host(url: str) -> str:
    """``example.org`` of an address; empty where it can be no link."""
    return (urlsplit(href(url)).hostname or "").removeprefix("www.")


def cut(text: str, most: int) -> str:
    """At most so many characters, an ellipsis included."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
