"""What nothing needs any more is removed as it was read, some at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.errors import DecisionStaleError
from gateway.model.base import VersionedRow, fact
from gateway.ports import Delete, Store, Work

SWEPT_AT_ONCE: Final = 200


async def remove(store: Store, rows: Sequence[VersionedRow]) -> int:
    """Remove `rows` unless one of them changed since it was read; then none goes, and the next round looks again."""
    if not rows:
        return 0
    try:
        await store.commit(
            Work(expects=tuple(fact(row) for row in rows), changes=tuple(Delete(type(row), row.key) for row in rows))
        )
    except DecisionStaleError:
        return 0
    return len(rows)
