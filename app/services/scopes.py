"""Whose limits a call counts under: its provider's and its deployment's, for all keys together or for each."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from app.core.values import Deployment
from app.gates.limits import Scope
from app.registry.fleet import Fleet
from app.registry.secrets import api_keys

UNNAMED_CONCURRENCY = 64
"""Calls at once for a provider that names no limit of its own: nobody is to be flooded."""


def capacity(deployment: Deployment) -> int:
    """Calls that it may have in flight at full load with all its keys: the least concurrency that is named, else our
    own bound."""
    named = (deployment.limits.concurrency, deployment.provider_limits.concurrency)
    return deployment.keys * min((limit for limit in named if limit is not None), default=UNNAMED_CONCURRENCY)


def scopes_of(fleet: Fleet, deployment: Deployment, key_ref: str | None = None) -> tuple[Scope, ...]:
    """The scopes a call to this deployment counts in: its provider's, and its own.

    ``key_ref``: which key it is made with. It matters where each of several keys has limits of its own
    (``key_scopes``): then these are the scopes of that key.
    """
    row = fleet.provider(deployment.provider)
    account = deployment.provider_limits
    if account.concurrency is None and deployment.limits.concurrency is None:
        account = replace(account, concurrency=UNNAMED_CONCURRENCY)
    own = key_ref if row.limits_per == "key" and len(row.key_refs) > 1 else None
    suffix = "" if own is None else f"#{own}"
    return (
        Scope(f"provider:{deployment.provider}{suffix}", account, row.quota_reset, row.learn_upwards, own),
        Scope(f"deployment:{deployment.name}{suffix}", deployment.limits, row.quota_reset, row.learn_upwards, own),
    )


def key_scopes(fleet: Fleet, deployment: Deployment, out: Container[str] = ()) -> tuple[tuple[Scope, ...], ...]:
    """``scopes_of`` for each key that may be used beside the others; once where all share their limits.

    ``out``: names of keys that were refused; where all are, none is left out.
    """
    row = fleet.provider(deployment.provider)
    if row.limits_per != "key" or len(row.key_refs) < 2:
        return (scopes_of(fleet, deployment),)
    refs = [key.ref for key in api_keys(row)] or list(row.key_refs)
    refs = [ref for ref in refs if ref not in out] or refs
    return tuple(scopes_of(fleet, deployment, ref) for ref in refs)
