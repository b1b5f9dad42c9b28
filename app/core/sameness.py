"""When two items ask the same: what is asked once, and what an earlier job's answer may answer again.

Two texts are the same where they differ in nothing but how Unicode writes a character (NFC, Unicode Standard Annex 15)
and in white space. Case counts: "US" and "us" are different words.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata

from app.core.prompts import WORDING
from app.core.task import Task
from app.core.trimming import Turns

DUPLICATE = "duplicate"
SIMILAR = "similar"
"""Flags of a decision that is that of the item before it which asks the same, or nearly."""
_BYTES = 16


def normalised(text: str) -> str:
    """The text in NFC, each run of white space as one blank, none at its ends."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


def digest(text: str, turns: Turns | None = None) -> str:
    """32 hexadecimal digits: equal for items that ask the same. ``turns``: of a chat, which is never a plain text."""
    if turns is None:
        said = normalised(text)
    else:
        said = "\0" + json.dumps([[role, normalised(content)] for role, content in turns], ensure_ascii=False)
    return _hash(said)


def question_hash(task: Task, privacy: str = "") -> str:
    """Of all that is asked beside the item's text: equal where the same prompt is sent to the same model.

    ``privacy``: the job's own wish for personal data; with ``redact`` an item may be sent without it.
    """
    said = [WORDING, task.to_json(), privacy == "redact"]
    return _hash(json.dumps(said, sort_keys=True, ensure_ascii=False))


def _hash(said: str) -> str:
    return hashlib.blake2b(said.encode(errors="surrogatepass"), digest_size=_BYTES).hexdigest()
