"""RADIUS accounting: what is believed, what is answered, and what neither."""

import hashlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad.packet import AcctPacket

from appliance.devices.radius import LATE_S, Accounting, Source, user_of
from appliance.devices.settings import RadiusClient
from appliance.devices.watch import recall, saved

SECRET = b"a shared secret"
WIFI, OTHER = "10.9.0.5", "10.9.0.6"
START, STOP, INTERIM, ON = 1, 2, 3, 7


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def accounting(clock):
    clients = (RadiusClient("wifi", ("10.9.0.5/32",), "", "hill"), RadiusClient("switches", ("10.9.1.0/24",), ""))
    return Accounting([Source(each, SECRET) for each in clients], 3600.0, clock)


def packet(status, clock, *, session=b"s1", secret=SECRET, user=b"kim", ip="10.1.0.5", at=None, signed=False, **more):
    made = AcctPacket(secret=secret, message_authenticator=signed or None)
    values = {
        40: status.to_bytes(4),
        44: session,
        55: int(clock.now if at is None else at).to_bytes(4),
        **more.pop("also", {}),
    }
    if user:
        values[1] = user
    if ip:
        values[8] = socket.inet_aton(ip)
    for kind, value in values.items():
        made[kind] = [value]
    return made.RequestPacket()


def test_start_interim_stop(accounting, clock):
    answer = accounting.datagram(
        packet(START, clock, ip=None, also={31: b"00-11-22-AA-BB-CC", 25: b"Staff", 11: b"Office"}), WIFI
    )
    assert answer[0] == 5, "Accounting-Response"
    (one,) = accounting.sessions.values()
    assert (one.user, one.device, one.addresses, one.roles, one.school) == (
        "kim", "00:11:22:aa:bb:cc", (), ("Staff", "Office"), "hill",
    )  # fmt: skip
    clock.now += 60
    prefix = bytes([0, 64]) + socket.inet_pton(socket.AF_INET6, "2001:db8:1:2::")[:8]
    six = socket.inet_pton(socket.AF_INET6, "2001:db8:9::7")
    accounting.datagram(packet(INTERIM, clock, user=b"", also={97: prefix, 168: six}), WIFI)
    (one,) = accounting.sessions.values()
    assert (one.user, one.device) == ("kim", "00:11:22:aa:bb:cc"), "what an update leaves out stays"
    assert one.addresses == ("10.1.0.5", "2001:db8:9::7", "2001:db8:1:2::/64")
    accounting.datagram(packet(STOP, clock), WIFI)
    assert accounting.sessions == {}


def test_another_secret_and_strangers_get_no_answer(accounting, clock):
    assert accounting.datagram(packet(START, clock, secret=b"another secret"), WIFI) is None
    assert accounting.datagram(packet(START, clock), OTHER) is None
    tampered = bytearray(packet(START, clock))
    tampered[-1] ^= 1
    assert accounting.datagram(bytes(tampered), WIFI) is None
    assert accounting.sessions == {}
    assert accounting.counts == {"unproven": 2, "stranger": 1}


def test_a_repetition_is_answered_and_a_replay_is_not(accounting, clock):
    start = packet(START, clock)
    first = accounting.datagram(start, WIFI)
    clock.now += 5
    assert accounting.datagram(start, WIFI) == first
    accounting.datagram(packet(STOP, clock), WIFI)
    clock.now += 100
    assert accounting.datagram(start, WIFI) is None
    assert accounting.sessions == {}
    assert accounting.counts["repeated"] == accounting.counts["replayed"] == 1


def test_what_has_ended_does_not_begin_again_even_after_a_restart(accounting, clock):
    accounting.datagram(packet(START, clock), WIFI)
    accounting.datagram(packet(START, clock, session=b"s2", ip="10.1.0.6"), WIFI)
    accounting.datagram(packet(STOP, clock), WIFI)
    other = Accounting([Source(RadiusClient("wifi", ("10.9.0.5/32",), "", "hill"), SECRET)], 3600.0, clock)
    recall(other, saved(accounting))
    assert [one.addresses for one in other.sessions.values()] == [("10.1.0.6",)]
    clock.now += 1
    assert other.datagram(packet(INTERIM, clock), WIFI) is not None
    assert len(other.sessions) == 1


def test_what_was_sent_long_ago_is_answered_and_changes_nothing(accounting, clock):
    assert accounting.datagram(packet(START, clock, at=clock.now - LATE_S - 1), WIFI)
    late = packet(START, clock, session=b"s2", at=0, also={41: int(LATE_S + 1).to_bytes(4), 55: bytes(4)})
    assert accounting.datagram(late, WIFI)
    assert accounting.sessions == {}
    assert accounting.datagram(packet(START, clock, at=clock.now + 9e6), WIFI), "a clock that runs ahead"
    assert len(accounting.sessions) == 1


def test_a_controller_that_begins_anew_has_nobody(accounting, clock):
    accounting.datagram(packet(START, clock), WIFI)
    accounting.datagram(packet(START, clock, session=b"x"), "10.9.1.7")
    accounting.datagram(packet(ON, clock, user=b"", ip=None), WIFI)
    assert [key.split("/")[0] for key in accounting.sessions] == ["switches"]


def test_nobody_stays_for_ever(accounting, clock):
    accounting.datagram(packet(START, clock), WIFI)
    clock.now += 3601
    assert accounting.expire()
    assert accounting.sessions == {}


def test_a_message_authenticator_is_looked_at(accounting, clock):
    good = packet(START, clock, signed=True)
    assert accounting.datagram(good, WIFI)
    attributes = bytearray(good[20:])
    attributes[attributes.index(bytes([80, 18])) + 2] ^= 1
    begun = good[:4] + bytes(16) + attributes
    forged = begun[:4] + hashlib.md5(begun + SECRET).digest() + attributes
    assert accounting.datagram(bytes(forged), WIFI) is None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Kim", "kim"),
        ("HILL\\Kim", "kim@hill"),
        ("Kim@Hill.sch.uk", "kim@hill.sch.uk"),
        ("anonymous@hill.sch.uk", ""),
        ("@hill.sch.uk", ""),
        ("host/pc-12.hill.local", ""),
        ("HILL\\PC-12$", ""),
        ("00-11-22-aa-bb-cc", ""),
        ("", ""),
    ],
)
def test_what_names_nobody_is_no_person(given, name):
    assert user_of(given) == name


@given(st.binary(max_size=300))
def test_no_bytes_raise_or_are_believed(data):
    accounting = Accounting([Source(RadiusClient("wifi", ("10.9.0.5/32",), ""), SECRET)], 3600.0, Clock())
    assert accounting.datagram(data, WIFI) is None


@given(st.lists(st.tuples(st.integers(1, 200), st.binary(max_size=40)), max_size=12))
def test_no_attributes_raise(attributes):
    made = AcctPacket(secret=SECRET)
    for kind, value in attributes:
        if kind not in (26, 80):
            made.setdefault(kind, []).append(value)
    accounting = Accounting([Source(RadiusClient("wifi", ("10.9.0.5/32",), ""), SECRET)], 3600.0, Clock())
    assert accounting.datagram(made.RequestPacket(), WIFI) is not None
