"""The ledger's tables.

Ids of rows are ``bigint``; a job's id is text that people can read. Money is ``bigint`` micro-dollars. Tokens lie
in four disjoint buckets whose sum is what the provider counted.
"""

from app.ledger.tables import learned, press, watch, work
from app.ledger.tables.metadata import metadata

__all__ = ["learned", "metadata", "press", "watch", "work"]
