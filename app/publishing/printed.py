"""The edition as it lies in a bundle: ``edition.json`` is the edition's document."""

from __future__ import annotations

import datetime as dt

from app.newspaper.edition import Edition
from app.newspaper.setting.bundle import Bundle

DOCUMENT = "edition.json"


def edition_in(bundle: Bundle) -> Edition:
    return Edition.model_validate_json(bundle.files[DOCUMENT])


def made_at(edition: Edition) -> dt.datetime:
    """The same at every try: of an edition that does not say when it was made, its day's first moment."""
    return edition.colophon.made_at or dt.datetime.combine(edition.date, dt.time(), dt.UTC)
