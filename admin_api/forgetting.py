"""A night's deleting at one school: the log's classes and the desk's own access log, one record of what went."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from change_control import access
from change_control.store import Store
from monitoring import retention
from monitoring.log import Log


def forget(log: Log, store: Store, school: str, now: datetime, *, person: str = "") -> Mapping[str, int]:
    """Delete what is over; returns how much of each class went.

    What must not be deleted (a hold on everybody) keeps the access log, too: who looked is part of what happened.
    """
    gone = 0
    if not retention.everybody_held(log, school):
        with store.write() as session:
            gone = access.forget(session, school, retention.due(log, school, now)["access"])
    return retention.run(log, school, now, person=person, also={"access": gone})


def forget_beside_schools(store: Store, logs: Collection[str], now: datetime) -> int:
    """The access log of the authority, and of those who never came in at any school, after as long as is usual."""
    with store.write() as session:
        before = now - timedelta(days=retention.CLASSES["access"].days)
        return sum(access.forget(session, each, before) for each in {"", *logs})
