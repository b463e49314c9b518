"""What is made of neighbours, leases, hooks and sign-ins together."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.devices.known import SEEN_S
from appliance.devices.radius import Accounting, Session
from appliance.devices.table import Table
from appliance.devices.watch import Watch
from appliance.gateway.devices import Lease
from monitoring.devices import Names
from policy.presence import Presence

NOW = 1_800_000_000.0
LAPTOP, PHONE = bytes.fromhex("001122aabbcc"), bytes.fromhex("02ffee000001")
LAPTOP_MAC, PHONE_MAC = "00:11:22:aa:bb:cc", "02:ff:ee:00:00:01"


def school_of(address):
    return "hill" if address.startswith(("10.1.", "2001:db8:1:")) else "oak" if address.startswith("10.2.") else ""


@pytest.fixture
def watch():
    return Watch(Accounting([], 3600.0, lambda: NOW), Names(b"k" * 32), school_of)


def signed_in(watch, *, user="kim", device="", addresses=(), school="", key="s1", how="radius", at=NOW):
    watch.accounting.sessions[key] = Session(key, how, user, device, addresses, ("Staff",), school, at, NOW + 3600)


def told(watch, address, now=NOW):
    entry = watch.lay_out(now).get(address)
    return (entry.present.seen_by, entry.present.signed_in, entry.present.user, entry.mac) if entry else None


def test_neighbours_of_the_school_alone(watch):
    watch.neighbours({"10.1.0.5": LAPTOP, "2001:db8:1::5": LAPTOP, "192.0.2.1": PHONE, "10.1.0.9": bytes(6)}, NOW)
    assert sorted(watch.lay_out(NOW)) == ["10.1.0.5", "2001:db8:1::5"]
    assert told(watch, "10.1.0.5") == ("neighbour", "", "", LAPTOP_MAC)
    (seen,) = watch.seen(watch.lay_out(NOW), NOW)
    assert (seen.mac, sorted(seen.addresses)) == (LAPTOP_MAC, ["10.1.0.5", "2001:db8:1::5"])
    watch.neighbours({}, NOW + 10)
    assert told(watch, "10.1.0.5", NOW + 10), "gone from the kernel's table, not from the room"
    assert told(watch, "10.1.0.5", NOW + SEEN_S) is None


def test_a_lease_gives_the_name_and_the_kernel_is_believed_first(watch):
    watch.leases([Lease("10.1.0.5", LAPTOP_MAC, "kims-laptop"), Lease("10.1.0.6", PHONE_MAC, "phone")], NOW)
    watch.neighbours({"10.1.0.5": LAPTOP, "10.1.0.6": LAPTOP, "2001:db8:1::5": LAPTOP}, NOW)
    assert told(watch, "10.1.0.5") == ("lease", "", "", LAPTOP_MAC)
    assert told(watch, "10.1.0.6") == ("neighbour", "", "", LAPTOP_MAC), "another device answers there"
    assert watch.lay_out(NOW)["2001:db8:1::5"].name == "kims-laptop"


def test_a_hook_says_it_at_once(watch):
    assert watch.hooked(json.dumps({"act": "add", "mac": LAPTOP_MAC, "address": "10.1.0.5", "name": "laptop"}).encode(), NOW)
    assert told(watch, "10.1.0.5") == ("lease", "", "", LAPTOP_MAC)
    assert watch.hooked(json.dumps({"act": "del", "mac": PHONE_MAC, "address": "10.1.0.5"}).encode(), NOW)
    assert told(watch, "10.1.0.5"), "not its"
    assert watch.hooked(json.dumps({"act": "del", "mac": LAPTOP_MAC, "address": "10.1.0.5"}).encode(), NOW)
    assert told(watch, "10.1.0.5") is None


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"act":"add","mac":"x","address":"10.1.0.5"}', b'{"act":"add","address":"y"}', b"\xff"]
)
def test_what_no_hook_says(watch, data):
    assert not watch.hooked(data, NOW)


@given(st.binary(max_size=80))
def test_no_bytes_of_a_hook_raise(data):
    Watch(Accounting([], 1.0, lambda: NOW), Names(b"k" * 32), school_of).hooked(data, NOW)


def test_a_sign_in_is_the_devices_wherever_it_is(watch):
    watch.neighbours({"10.1.0.5": LAPTOP, "2001:db8:1::5": LAPTOP, "10.1.0.6": PHONE}, NOW)
    signed_in(watch, device=LAPTOP_MAC)
    for address in ("10.1.0.5", "2001:db8:1::5"):
        assert told(watch, address) == ("neighbour", "radius", "kim", LAPTOP_MAC)
    assert told(watch, "10.1.0.6")[2] == ""


def test_an_address_of_a_sign_in_at_which_another_device_answers_is_not_hers(watch):
    watch.neighbours({"10.1.0.5": PHONE}, NOW)
    signed_in(watch, device=LAPTOP_MAC, addresses=("10.1.0.5", "10.1.0.7"))
    assert told(watch, "10.1.0.5") == ("neighbour", "", "", PHONE_MAC)
    assert told(watch, "10.1.0.7") == ("radius", "radius", "kim", LAPTOP_MAC), "behind a router, as the server says"


def test_a_sign_in_without_a_device_is_bound_to_the_one_that_is_there(watch):
    watch.neighbours({"10.1.0.5": LAPTOP}, NOW)
    signed_in(watch, addresses=("10.1.0.5",))
    assert told(watch, "10.1.0.5")[2] == "kim"
    watch.neighbours({"10.1.0.5": PHONE}, NOW + 1)
    assert told(watch, "10.1.0.5", NOW + 1) == ("neighbour", "", "", PHONE_MAC), "another one has the address now"


def test_a_server_speaks_of_its_own_school(watch):
    signed_in(watch, addresses=("10.1.0.5",), school="oak")
    signed_in(watch, addresses=("10.2.0.5", "203.0.113.9"), school="oak", key="s2")
    assert sorted(watch.lay_out(NOW)) == ["10.2.0.5"]


def test_the_later_sign_in_counts_and_the_portal_before_radius(watch):
    signed_in(watch, user="old", addresses=("10.1.0.5",), at=NOW - 9)
    signed_in(watch, user="new", addresses=("10.1.0.5",), key="s2", at=NOW - 5)
    assert told(watch, "10.1.0.5")[2] == "new"
    signed_in(watch, user="guest", addresses=("10.1.0.5",), key="s3", how="portal", at=NOW - 8)
    assert told(watch, "10.1.0.5")[1:3] == ("portal", "guest")


def test_pseudonyms_are_each_schools_own(watch):
    watch.neighbours({"10.1.0.5": LAPTOP, "10.2.0.5": LAPTOP}, NOW)
    found = {entry.present.device for entry in watch.lay_out(NOW).values()}
    assert len(found) == 2
    assert all(each.startswith("d-") and LAPTOP_MAC not in each for each in found)


def test_the_table_as_others_read_it(watch, tmp_path):
    table, presence = Table(tmp_path / "presence"), Presence(tmp_path / "presence")
    watch.neighbours({"10.1.0.5": LAPTOP}, NOW)
    assert table.write(watch.lay_out(NOW), NOW) == 1
    assert table.write(watch.lay_out(NOW), NOW + 1) == 0, "nothing new"
    presence.refresh(NOW)
    assert presence.at("10.1.0.5").school == "hill"
    watch.neighbours({"10.1.0.5": LAPTOP}, NOW + 700)
    assert table.write(watch.lay_out(NOW + 700), NOW + 700) == 1, "renewed before it is over"
    assert table.write({}, NOW + 701) == 1
    presence.refresh(NOW + 701)
    assert presence.at("10.1.0.5") is None
    table.close()


def test_a_process_that_begins_again_lets_nobody_go(watch, tmp_path):
    path, presence = tmp_path / "presence", Presence(tmp_path / "presence")
    watch.neighbours({"10.1.0.5": LAPTOP}, NOW)
    first = Table(path)
    first.write(watch.lay_out(NOW), NOW)
    presence.refresh(NOW)
    version = presence.version
    first.close()
    again = Table(path)
    presence.refresh(NOW + 1)
    assert presence.at("10.1.0.5") is not None, "before it has looked round"
    again.write(watch.lay_out(NOW + 1), NOW + 1)
    presence.refresh(NOW + 1)
    assert presence.at("10.1.0.5") is not None
    assert presence.version == version
    again.write({}, NOW + 2)
    presence.refresh(NOW + 2)
    assert presence.at("10.1.0.5") is None
    again.close()
