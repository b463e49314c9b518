"""Who and what is there: a pupil's device known by the kernel, a lease, RADIUS and the register; devices_world.py is it all."""

import pytest

from .apart import told_by

pytestmark = pytest.mark.timeout(180)  # the first of them waits for all that is told


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    return told_by("devices_world.py", tmp_path_factory.mktemp("devices"), 170)


def test_every_event_says_how_the_device_was_known(told):
    assert told["neighbour"]["group"] == told["lease"]["group"] == told["radius"]["group"] == "ks3"
    devices = {told[how]["device"] for how in ("neighbour", "lease", "radius", "signed out")}
    assert len(devices) == 1
    assert devices.pop().startswith("d-")
    assert (told["lease"]["person"], told["signed out"]["identified_by"]) == ("", "lease")


def test_radius_is_believed_with_the_secret_alone(told):
    assert told["wrong secret"] is False
    assert told["start"] == [True, True], "sent again, answered again"
    assert told["radius"]["person"].startswith("p-"), "a pseudonym"
    assert told["without a rule"] == 403, "who signed in is known, and nothing follows from it until it is signed"


def test_her_own_rules_by_a_signed_rule_about_her_role(told):
    assert told["six"].endswith("seen from fd99:1::aaaa"), "an address that only the kernel's neighbours know"


def test_kill_9_of_the_process_signs_nobody_out(told):
    assert told["killed"] == 200


def test_signing_out_ends_what_runs(told):
    assert told["reset"][0] == 56, "reset at once"
    assert told["ended"] is True
    assert told["begun again"] == 403, "an update of what has ended is answered, and changes nothing"


def test_the_register(told):
    ((its_mac, name, addresses, _),) = told["register"]
    assert its_mac
    assert (name, addresses) == ("kims-laptop", ["10.99.1.10", "fd99:1::aaaa"])
    assert list(told["called"].values()) == ["kim@hill"]
    assert told["device"], "and its own group, by a signed rule about the device"
