"""Statements as text for one dialect: compiled once, then run on the driver without SQLAlchemy in between."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.engine import Dialect

from adapters.sql import statements
from adapters.sql.codec import Codec, codec
from gateway.model.base import Fact, Row, VersionedRow

K = TypeVar("K")
V = TypeVar("V")
_Insertion = tuple[str, Callable[[tuple[Any, ...]], tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Text:
    """SQL text, the names of its parameters in order, and values that the statement itself fixes."""

    sql: str
    names: tuple[str, ...]
    fixed: Mapping[str, Any]

    def params(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(values[name] if name in values else self.fixed[name] for name in self.names)


def compiled(statement: Any, dialect: Dialect) -> Text:
    """The text of a Core statement for a dialect."""
    done = statement.compile(dialect=dialect)
    return Text(str(done), tuple(done.positiontup), dict(done.params))


class _Made(dict[K, V]):
    """What is made when it is first asked for: two hundred statements at once are a tenth of a start."""

    def __init__(self, make: Callable[[K], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: K) -> V:
        value = self[key] = self._make(key)
        return value


class Statements:
    """Everything that a store runs, for one dialect."""

    def __init__(self, dialect: Dialect, *, lock_facts: bool) -> None:

        def query(name: str) -> tuple[Text, Codec[Any] | None]:
            found = statements.QUERIES[name]
            return compiled(found.statement, dialect), codec(found.kind) if found.kind else None

        def by_key(row: type[Row]) -> tuple[Text, Codec[Any]]:
            return compiled(statements.by_key(row), dialect), codec(row)

        def by_keys(asked: tuple[type[Row], int]) -> tuple[Text, Codec[Any]]:
            return compiled(statements.by_keys(*asked), dialect), codec(asked[0])

        def version(row: type[VersionedRow]) -> Text:
            return compiled(statements.version_of(row, lock=lock_facts), dialect)

        self.queries = _Made(query)
        self.by_key = _Made(by_key)
        self.by_keys = _Made(by_keys)
        self._insert: _Made[type[Row], _Insertion] = _Made(lambda row: _inserting(row, dialect))
        self._delete: _Made[type[Row], Text] = _Made(lambda row: compiled(statements.delete(row), dialect))
        self._update: _Made[type[VersionedRow], Text] = _Made(lambda row: compiled(statements.update(row), dialect))
        self._version = _Made(version)
        self._versions: dict[tuple[type[VersionedRow], ...], str] = {}
        self.claim = compiled(statements.claim(), dialect)

    def insert(self, row: Row) -> tuple[str, tuple[Any, ...]]:
        sql, ordered = self._insert[type(row)]
        return sql, ordered(codec(type(row)).params(row))

    def update(self, row: VersionedRow) -> tuple[str, tuple[Any, ...]]:
        text = self._update[type(row)]
        values = _values(row)
        values |= {f"key_{name}": values[name] for name in row.KEY}
        values["old_version"] = row.version - 1
        return text.sql, text.params(values)

    def delete(self, row: type[Row], key: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
        text = self._delete[row]
        return text.sql, text.params(dict(zip(row.KEY, key, strict=True)))

    def version(self, row: type[VersionedRow], key: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
        text = self._version[row]
        return text.sql, text.params(dict(zip(row.KEY, key, strict=True)))

    def versions(self, facts: Sequence[Fact]) -> tuple[str, tuple[Any, ...]]:
        """One statement for the versions of all `facts`, in their order; NULL for a row that does not exist."""
        kinds = tuple(fact.row for fact in facts)
        sql = self._versions.get(kinds)
        if sql is None:
            sql = self._versions[kinds] = f"SELECT ({'), ('.join(self._version[kind].sql for kind in kinds)})"
        return sql, tuple(part for fact in facts for part in self.version(fact.row, fact.key)[1])


def _inserting(row: type[Row], dialect: Dialect) -> _Insertion:
    """An insertion, and what puts the values of a row in the order of its parameters."""
    text = compiled(statements.insert(row), dialect)
    columns = codec(row).columns
    return text.sql, operator.itemgetter(*(columns.index(name) for name in text.names))


def _values(row: Row) -> dict[str, Any]:
    of = codec(type(row))
    return dict(zip(of.columns, of.params(row), strict=True))
