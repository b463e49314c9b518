"""Learning which applications break where we look in: only from devices that trust us elsewhere, and once."""

import pytest

from policy.event import NEVER_INSPECT, Event
from proxy.pinned import REMEMBERED, TOGETHER, WITHIN, Pinned, proposal, reference

APP, PHONE, TABLET = "app.test", "10.0.0.1", "10.0.0.2"


@pytest.mark.parametrize(
    ("trusting", "failures", "proposed_at"),
    [
        ((PHONE,), [(PHONE, 100), (PHONE, 200), (PHONE, 300)], 300),
        ((PHONE, TABLET), [(PHONE, 100), (TABLET, 101), (PHONE, 300)], 300),
        ((PHONE,), [(PHONE, 100), (PHONE, 110), (PHONE, 150)], None),  # one application that tries again
        ((), [(PHONE, 100), (PHONE, 200), (PHONE, 300)], None),  # a device without our certificate
        ((PHONE,), [(PHONE, 100), (TABLET, 200), (TABLET, 300)], None),
        ((PHONE,), [(PHONE, 100), (PHONE, 200), (PHONE, 100 + WITHIN)], None),  # its trust is too old by then
    ],
)
def test_when_a_name_is_proposed(trusting, failures, proposed_at):
    pinned = Pinned()
    for address in trusting:
        pinned.succeeded("hillview", "other.test", address, 50)
    proposed = [at for address, at in failures if pinned.failed("hillview", APP, address, at)]
    assert proposed == ([proposed_at] if proposed_at else [])
    later = failures[-1][1] + TOGETHER + 1
    if proposed_at:
        assert not pinned.failed("hillview", APP, PHONE, later)  # once
        assert not pinned.failed("", APP, PHONE, later)  # of no school


def test_what_is_remembered_is_bounded():
    pinned = Pinned()
    for n in range(REMEMBERED + 10):
        pinned.succeeded("hillview", f"s{n}.test", f"a{n}", 50)
        pinned.failed("hillview", f"s{n}.test", f"a{n}", 50)
    assert {len(pinned._trusts), len(pinned._failed), len(pinned._works)} == {REMEMBERED}


def test_the_proposal():
    failed = Event(1.0, "connection", "hillview", "ks3", host=APP, path="/x", address=PHONE)
    made = proposal(failed, works_elsewhere=True)
    assert (made.kind, made.reason, made.host, made.path) == ("request", NEVER_INSPECT, APP, "")
    assert made.outcome == reference("hillview", APP) != reference("oakfield", APP)
    assert "In browsers the site works." in made.detail
    assert "In browsers" not in proposal(failed, works_elsewhere=False).detail
    assert len(made.outcome) == 24
