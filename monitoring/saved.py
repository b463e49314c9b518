"""Searches that a person keeps under a name: hers alone."""

from collections.abc import Sequence

import sqlalchemy as sql

from monitoring import store
from monitoring.log import Log
from monitoring.tables import searches as table

MOST = 30


def searches(log: Log, school: str, person: str) -> Sequence[store.Row]:
    with store.reading(log) as connection:
        asked = sql.select(table).where(table.c.school == school, table.c.person == person).order_by(table.c.name)
        return store.rows(connection, asked)


def keep(log: Log, school: str, person: str, name: str, query: str) -> None:
    """Under a name that she had already: in its place."""
    name = " ".join(name.split())
    if not name:
        raise ValueError("give the search a name")
    if len(searches(log, school, person)) >= MOST:
        raise ValueError(f"{MOST} searches are kept already; take one away first")
    with store.changing(log) as connection:
        connection.execute(sql.delete(table).where(table.c.school == school, table.c.person == person, table.c.name == name))
        store.add(connection, table, school=school, person=person, name=name, query=query)


def forget(log: Log, school: str, person: str, number: str) -> None:
    if number.isdecimal() and len(number) < 16:
        with store.changing(log) as connection:
            connection.execute(
                sql.delete(table).where(table.c.school == school, table.c.person == person, table.c.id == int(number))
            )
