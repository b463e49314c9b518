"""The fast path says what the long way says, byte for byte: replies kept ready, and forms for names that are blocked alike."""

import asyncio
import re
import struct

import dnslib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dns.answers import Answers
from dns.ready import _plain_host
from dns.settings import Settings
from dns.waiting import Waiting
from policy.event import decode
from policy.rules import Action, SiteRule, Timetable, Window

LISTENER, KS3 = "dns:127.0.0.1:53", bytes((127, 20, 3, 5))
NAMES = {"bet.example": "gambling", "sealed.example": "csam_illegal", "helpline.example": "essentials"}
NAMES |= {"wager.example": "gambling", "use-application-dns.net": "gambling", "open.bet.example": "gambling"}
RULES = (
    SiteRule("s1", "open.bet.example", Action.ALLOW, 3),
    SiteRule("s2", "shut.example", Action.BLOCK, 4),
)
labels = st.sampled_from(["www", "WWW", "a-b", "_x", "1", "xn--bcher-kva", "a.b", "", "ü", "open", "x" * 63])
tops = st.sampled_from(
    ["bet.example", "BET.example", "wager.example", "sealed.example", "helpline.example", "shut.example", "news.example",
     "open.bet.example", "use-application-dns.net", "schoolgate.internal", "example", "bet.127", "other.test"]
)  # fmt: skip
SCORE = re.compile(r" \(score \d+\)").sub  # what is kept for a second does not count again


class Two:
    """Two workers under one policy and clock: one that answers from what it keeps, one that forgets after each query."""

    def __init__(self, live, at):
        self.now = at.timestamp()
        self.events = [], []
        given = Settings((("127.0.0.1", 0),), (("127.0.0.1", 9),), cookie_key=b"k" * 32)
        self.fast, self.slow = (
            Answers(given, live, each.append, worker="dns-1", clock=lambda: self.now) for each in self.events
        )

    def ask(self, packet):
        (fast,) = self.fast.many([(packet, KS3)], LISTENER)
        self.slow._ready.clear()
        (slow,) = self.slow.many([(packet, KS3)], LISTENER)
        return fast, slow


@pytest.fixture
def two(make_live, at):
    live = make_live(names=NAMES, site_rules=RULES)
    return Two(live, at)


def wire(name: list[bytes]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in name if label) + b"\0"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.lists(labels, max_size=3), tops, st.sampled_from([1, 28, 65, 255, 16]), st.booleans(), st.integers(0, 0xFFFF)
        ),
        min_size=2,
        max_size=12,
    )
)
def test_kept_replies_are_those_of_the_long_way(two, asked):
    for first, top, qtype, edns, id_ in asked:
        name = [each.encode() for each in first] + [each.encode() for each in top.split(".")]
        packet = struct.pack("!HHHHHH", id_, 0x100, 1, 0, 0, edns) + wire(name) + struct.pack("!HH", qtype, 1)
        packet += struct.pack("!BHHIH", 0, 41, 1232, 0, 0) if edns else b""
        fast, slow = two.ask(packet)
        if isinstance(slow, Waiting):
            assert isinstance(fast, Waiting)
            assert fast.packet == slow.packet
        else:
            assert fast == slow
    fast, slow = ([each._replace(detail=SCORE("", each.detail)) for each in events] for events in two.events)
    assert fast == slow


def test_names_that_are_blocked_alike_share_one_decision(two, make_live, at):
    asked = []

    class Counting(type(two.fast._live.snapshot.dictionaries["d"].index)):
        def find(self, host, path=None):
            asked.append(host)
            return super().find(host, path)

    live = make_live(names=NAMES, site_rules=RULES)
    index = live.snapshot.dictionaries["d"].index
    index.__class__ = Counting
    answers = Answers(Settings((("127.0.0.1", 0),), (("127.0.0.1", 9),)), live, lambda _: None, clock=at.timestamp)
    for number in range(50):
        packet = bytes(dnslib.DNSRecord.question(f"n{number}.bet.example").pack())
        (reply,) = answers.many([(packet, KS3)], LISTENER)
        assert str(dnslib.DNSRecord.parse(reply).rr[0].rdata) == "127.0.0.1"
    assert set(asked) == {"n0.bet.example"}
    assert len(answers._ready) == 0  # none of them takes the place of a name that the school uses


def test_a_form_ends_with_its_policy_and_its_hour(make_live, at):
    lunch = Timetable("lunch", "Lunch", (Window((0, 1, 2, 3, 4, 5, 6), "10:00", "10:30"),))
    rules = (SiteRule("s2", "other.test", Action.BLOCK, 4),)
    live = make_live(names=NAMES, site_rules=rules, timetables=(lunch,))
    two = Two(live, at)
    packet = bytes(dnslib.DNSRecord.question("n1.bet.example").pack())
    assert two.ask(packet)[0] == two.ask(packet)[1]
    live.snapshot = make_live(names={}).snapshot
    assert all(isinstance(each, Waiting) for each in two.ask(packet))


def test_nothing_of_the_future_is_said_when_the_clock_is_set_back(make_live, at):
    begun = (SiteRule("s2", "bet.example", Action.ALLOW, 4, starts=at),)
    two = Two(make_live(names=NAMES, site_rules=begun), at)
    two.now += 1
    packet = bytes(dnslib.DNSRecord.question("schoolgate.internal").pack())
    two.ask(packet)
    assert len(two.fast._ready)
    two.now -= 10
    assert two.ask(packet)[0] == two.ask(packet)[1]
    (reply,) = two.fast.many([(bytes(dnslib.DNSRecord.question("bet.example").pack()), KS3)], LISTENER)
    assert str(dnslib.DNSRecord.parse(reply).rr[0].rdata) == "127.0.0.1"  # the rule has not begun


def test_what_is_concluded_later_is_of_the_clock_too(make_live, at):
    two = Two(make_live(names=NAMES), at)
    waiting = two.fast.at_once(bytes(dnslib.DNSRecord.question("news.test").pack()), LISTENER, "127.20.3.5")
    two.now += 10
    two.fast.overloaded(waiting)
    two.ask(bytes(dnslib.DNSRecord.question("schoolgate.internal").pack()))
    assert len(two.fast._ready)
    two.now -= 5  # later than the question, and before its answer
    two.ask(bytes(dnslib.DNSRecord.question("other.test").pack()))
    assert len(two.fast._ready) == 0


@pytest.mark.parametrize(
    ("wire", "host"),
    [
        (b"\x03www\x03bet\x07example", "www.bet.example"),
        (b"\x2c" + b"a" * 44 + b"\x04test", "a" * 44 + ".test"),
        (b"\x2d" + b"a" * 45 + b"\x04test", None),  # its length could be read as a hyphen: the long way knows better
        (b"\x30" + b"a" * 48, None),
        (b"\x03a.b\x04test", None),
        (b"\x08xn--abcd\x04test", None),
        (b"\x03bet\x03127", None),
        (b"\x03bet\x05test", None),
        (b"a" * 98, None),
        (b"", None),
    ],
)
def test_plain_hosts(wire, host):
    assert _plain_host(b"\1\0\0\1\0\0\0\0\0\0" + wire) == host


def test_events_written_together_read_as_events(make_live, at):
    lines = []
    live = make_live(names=NAMES)
    answers = Answers(
        Settings((("127.0.0.1", 0),), (("127.0.0.1", 9),)), live, lambda _: None, write=lines.extend, worker="dns-1", clock=at.timestamp,
    )  # fmt: skip
    packets = [(bytes(dnslib.DNSRecord.question(f"n{n}.bet.example").pack()), KS3) for n in range(5)]
    answers.many(packets, LISTENER)
    events = [decode(line) for line in lines]
    assert [event.host for event in events] == ["n1.bet.example", "n2.bet.example", "n3.bet.example", "n4.bet.example"]
    assert {(event.at, event.school, event.group, event.address, event.action, event.category, event.outcome, event.worker) for event in events} == {
        (at.timestamp(), "hillview", "ks3", "127.20.3.5", "block", "gambling", "NOERROR", "dns-1")
    }  # fmt: skip


def test_a_full_log_stops_no_answer(make_live, at):
    def full(_):
        raise OSError("full")

    given = Settings((("127.0.0.1", 0),), (("127.0.0.1", 9),))
    answers = Answers(given, make_live(), full, write=full, clock=at.timestamp)
    packet = bytes(dnslib.DNSRecord.question("bet.example").pack())
    assert all(answers.many([(packet, KS3)] * 3, LISTENER))
    assert answers.unrecorded == 3


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_have_a_plain_name_or_none(data):
    host = _plain_host((b"\1\0\0\1\0\0\0\0\0\0" + data.split(b"\0")[0]).lower())
    assert host is None or host.replace(".", "").replace("-", "").replace("_", "").isalnum()


def test_many_never_raises(make_live, at):
    given = Settings((("127.0.0.1", 0),), (("127.0.0.1", 9),))
    answers = Answers(given, make_live(), lambda _: None, clock=at.timestamp)

    class Broken:
        def find(self, host, path=None):
            raise ValueError("The index is damaged")

        kin = find

    answers._live.snapshot.dictionaries["d"].index.__class__ = Broken
    packet = bytes(dnslib.DNSRecord.question("bet.example").pack())
    (reply,) = answers.many([(packet, KS3)], LISTENER)
    assert dnslib.DNSRecord.parse(reply).header.rcode == 2
    asyncio.run(answers.close())
