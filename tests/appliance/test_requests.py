"""What the proxy hands over becomes requests for the headteacher, once each."""

import pytest
from sqlalchemy import select

from appliance.config import load
from appliance.requests import take_request
from change_control.service import Office
from change_control.store import Store
from change_control.tables import ChangeRow, DetailRow
from policy.event import NEVER_INSPECT, Event

SCHOOL = "oakfield-primary"


@pytest.fixture
def desk(installation):
    """The desk's store, its office, and a group of the school."""
    data, _ = installation
    store, office = Store(load(None, data, {}).desk_database), Office.open(data)
    with store.read() as session:
        group = office.book(session, SCHOOL).in_force().document.groups[0].id
    yield store, office, group
    store.close()


def test_a_pinned_application_is_proposed_once_and_opened_by_nobody(desk):
    store, office, group = desk
    made = Event(
        1.0, "request", SCHOOL, group, address="10.0.0.1", host="app.example", reason=NEVER_INSPECT, outcome="PIN-1",
        detail="Devices that trust the filter refused its certificate.",
    )  # fmt: skip
    take_request(store, office, made)
    take_request(store, office, made)
    with store.read() as session:
        (row,) = session.scalars(select(ChangeRow).where(ChangeRow.reference == "PIN-1")).all()
        assert (row.kind, row.state, row.source, row.requested_by) == ("never_inspect", "requested", "filter", "filter")
        assert office.book(session, SCHOOL).in_force().document.never_inspect == ()


def test_what_a_sites_pages_need_reaches_the_headteacher(desk):
    store, office, group = desk
    made = Event(
        1.0, "request", SCHOOL, group, address="10.0.0.1", host="chess.example", path="/lesson", detail="for chess club",
        outcome="ASK-1", list="cdn.example player.example",
    )  # fmt: skip
    take_request(store, office, made)
    with store.read() as session:
        (row,) = session.scalars(select(ChangeRow).where(ChangeRow.reference == "ASK-1")).all()
        assert "chess.example" in row.diff
        assert "/lesson" in row.diff
        assert "cdn.example, player.example" in session.get(DetailRow, (row.id, "request")).text
