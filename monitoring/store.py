"""Small reads and writes that captures, incidents and the rest share: one transaction each, rows as mappings."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sql

from monitoring.database import writing
from monitoring.lines import microseconds
from monitoring.log import Log
from monitoring.tables import clean, settings

type Row = dict[str, Any]


@contextmanager
def changing(log: Log) -> Iterator[sql.Connection]:
    """One transaction that may write."""
    with writing(log.open()).begin() as connection:
        yield connection


@contextmanager
def reading(log: Log) -> Iterator[sql.Connection]:
    with log.open().connect() as connection:
        yield connection


def rows(connection: sql.Connection, asked: sql.Select[Any]) -> Sequence[Row]:
    return [dict(row) for row in connection.execute(asked).mappings()]


def add(connection: sql.Connection, table: sql.Table, **values: Any) -> int:
    """A new row, its texts made storable and cut to their columns; returns its number."""
    fitted = {name: fit(table, name, value) for name, value in values.items()}
    key = connection.execute(sql.insert(table), fitted).inserted_primary_key  # one statement for all, made once
    return int(key[0]) if key and isinstance(key[0], int) else 0


def fit(table: sql.Table, name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    size = getattr(table.c[name].type, "length", None) or 1_000_000
    return clean(value, size)


def setting(log: Log, school: str, name: str) -> Any:
    """A school's own setting as plain data; None where it has none."""
    with reading(log) as connection:
        text = connection.scalar(sql.select(settings.c.value).where(settings.c.school == school, settings.c.name == name))
    return json.loads(text) if text else None


def set_setting(log: Log, school: str, name: str, value: Any, *, person: str, now: datetime) -> None:
    with changing(log) as connection:
        connection.execute(sql.delete(settings).where(settings.c.school == school, settings.c.name == name))
        add(connection, settings, school=school, name=name, value=json.dumps(value), person=person, at=microseconds(now))
