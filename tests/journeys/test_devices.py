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


# --- the guest's device, and the page at which she signs in: portal_story.py ------------------------------------------------


def test_a_captive_device_is_led_to_the_sign_in_page(told):
    got = told["portal"]
    for name in ("probe", "page", "after"):
        assert " 302" in got[name].splitlines()[0]
        assert "ocation: http://schoolgate.internal/sign-in" in got[name]
    assert got["script"].startswith("HTTP/1.1 511"), "RFC 6585"
    assert got["help"] == ["45.33.32.50"], "essential sites open for everyone"
    assert got["captive"] == {"captive": True, "user-portal-url": "http://schoolgate.internal/sign-in"}, "RFC 8908"
    assert "Until you do, only a few essential sites open." in got["form"]
    assert "This is not a code of this school" in got["wrong"]


def test_with_a_code_she_is_a_guest_and_the_log_says_how_she_is_known(told):
    got = told["portal"]
    assert got["signed in"].startswith("HTTP/1.1 303")
    assert "Ms Khan, nurse" in got["in"]
    assert (got["event"]["group"], got["event"]["identified_by"]) == ("guest", "portal")
    assert got["event"]["person"].startswith("p-"), "a pseudonym"
    assert " 403" in got["blocked"].splitlines()[0], "filtered as guests are"
    assert got["free"]["captive"] is False
    assert 10_000 < got["free"]["seconds-remaining"] <= 10_800
    assert "Success" in got["probe again"], "the truth, while the device still has our address for that name"


def test_a_sign_in_outlives_the_process_that_keeps_it_and_is_no_other_devices(told):
    got = told["portal"]
    assert got["killed"] == 200
    assert "Sign in to use this network" in got["another"], "another device at her address is a stranger"
    assert "in use on as many devices" in got["full"]


def test_a_revoked_code_ends_what_runs(told):
    assert told["portal"]["reset"][0] == 56


def test_staff_sign_in_with_the_password_of_their_account(told):
    got = told["portal"]
    assert "The user name or the password is wrong." in got["wrong password"]
    assert "hill-teacher" in got["account"]
    assert "You are signed in" in got["account"]
