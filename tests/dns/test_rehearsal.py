"""A policy that was rehearsed says what it says unrehearsed, from its first moment on and not before, and leaves no trace."""

import struct
from dataclasses import replace

import dnslib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dns import codec
from dns.answers import Answers
from dns.cache import Stored
from dns.reading import read_answer
from dns.rehearsal import MOST
from dns.seats import text_of
from dns.settings import Settings
from dns.steering import Network as Steered_network
from dns.steering import Steered, Wanted
from dns.waiting import Waiting
from policy.event import decode
from policy.identity import Clients
from policy.rules import Action, Group, Network, SchoolPolicy, SiteRule
from policy.snapshot import Snapshot

LISTENER = "dns:127.0.0.1:53"
KS3, OAKFIELD, STRANGER = (bytes(each) for each in ((127, 20, 3, 5), (127, 40, 0, 1), (45, 1, 1, 1)))
NAMES = {
    "bet.example": "gambling",
    "sealed.example": "csam_illegal",
    "cdn.bet.example": "gambling",
    "wager.example": "gambling",
}
BEFORE = (SiteRule("s1", "open.bet.example", Action.ALLOW, 3), SiteRule("s2", "news.example", Action.BLOCK, 4))
AFTER = (SiteRule("s1", "open.bet.example", Action.BLOCK, 5), SiteRule("s3", "wager.example", Action.ALLOW, 6))
ALLOWED = ("news.example", "open.bet.example", "wager.example", "cloaked.example", "www.google.com", "safe.test")
names = st.sampled_from(
    [*ALLOWED, "a.bet.example", "B.BET.example", "bet.example", "sealed.example", "nowhere.test", "ü.test", "mask.icloud.com"]
)


def packet(name: str, kind: int = 1, id_: int = 7, edns: bool = False) -> bytes:
    labels = b"".join(bytes((len(each.encode()),)) + each.encode() for each in name.split("."))
    opt = struct.pack("!BHHIH", 0, 41, 1232, 0, 0) if edns else b""
    return struct.pack("!HHHHHH", id_, 0x100, 1, 0, 0, edns) + labels + b"\0" + struct.pack("!HH", kind, 1) + opt


class Worker:
    """A resolver with a cache that knows some names, asked by datagrams; on a gateway, addresses stand for them."""

    def __init__(self, live, at, **more):
        self.now, self.live, self.events = at.timestamp(), live, []
        given = Settings((("127.0.0.1", 0),), (("127.0.0.1", 9),), cookie_key=b"k" * 32, **more)
        write = lambda lines: self.events.extend(map(decode, lines))  # noqa: E731
        self.answers = Answers(given, live, self.events.append, write=write, worker="dns-1", clock=lambda: self.now)
        for name in (*ALLOWED, "forcesafesearch.google.com"):
            for edns in (False, True):
                query = codec.parse(packet(name, edns=edns))
                reply = dnslib.DNSRecord.parse(packet(name)).reply()
                leads = f"{name}. 300 IN CNAME cdn.bet.example.\n" if name == "cloaked.example" else ""
                reply.add_answer(*dnslib.RR.fromZone(f"{leads}{'cdn.bet.example' if leads else name}. 300 IN A 203.0.113.7"))
                answer = read_answer(bytes(reply.pack()), query, 7)
                self.answers._fetching.cache.put(query, Stored(answer, self.now))
            if self.answers.steering:
                self.answers.steering._note(Wanted(LISTENER, "", (name, ())), 7)

    def ask(self, *packets, source=KS3, tcp=False):
        if tcp:
            said = [self.answers.at_once(each, LISTENER, text_of(source), tcp=True) for each in packets]
        else:
            said = self.answers.many([(each, source) for each in packets], LISTENER)
        return [(each.packet, each.asked, each.wanted) if isinstance(each, Waiting) else each for each in said]

    @property
    def ready(self):
        return self.answers.counters.replies["ready"]


@pytest.fixture
def two(make_live, at):
    """One that rehearses, and one that does not."""
    return [Worker(make_live(names=NAMES, site_rules=BEFORE), at) for _ in range(2)]


@pytest.fixture
def two_gateways(make_live, at, tmp_path):
    """The same where a kernel steers, and where nobody says that a permit was had."""
    steered = Steered(str(tmp_path / "none.sock"), (Steered_network("127.20.3.0/24"),))
    return [Worker(make_live(names=NAMES, site_rules=BEFORE), at, steered=steered) for _ in range(2)]


questions = st.lists(st.tuples(names, st.sampled_from([1, 65, 255]), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(questions, st.booleans(), st.booleans())
def test_what_was_rehearsed_is_what_would_have_been_said(two, two_gateways, make_snapshot, asked, tcp, gateway):
    two = two_gateways if gateway else two
    packets = [packet(name, kind, id_, edns) for id_, (name, kind, edns) in enumerate(asked)]
    new = make_snapshot(names=NAMES, site_rules=AFTER, generation=2)
    old = two[0].live.snapshot
    said = []
    for worker in two:
        worker.ask(*packets, tcp=tcp)
        if worker is two[0]:
            coming = worker.answers.rehearsal(new)
            worker.ask(*packets, tcp=tcp)
            while coming.work(worker.now):
                pass
        worker.live.snapshot = new
        worker.events.clear()
        said.append((worker.ask(*packets, tcp=tcp), worker.ask(*packets, tcp=tcp), sorted(worker.events)))
        worker.live.snapshot = old
        worker.answers._scores = type(worker.answers._scores)()
    assert said[0] == said[1]


@pytest.mark.parametrize("tcp", [False, True])
def test_the_first_answers_of_a_rehearsed_policy_are_ready_and_the_old_ones_hold_until_then(two, make_snapshot, tcp):
    worker = two[0]
    packets = [packet("news.example"), packet("open.bet.example"), packet("n1.bet.example"), packet("wager.example")]
    before = worker.ask(*packets, tcp=tcp)
    new = make_snapshot(names=NAMES, site_rules=AFTER, generation=2)
    coming = worker.answers.rehearsal(new)
    assert worker.ask(*packets, tcp=tcp) == before
    assert not coming.work(worker.now, 60)
    assert worker.ask(*packets, tcp=tcp) == before, "nothing of the new one is said before it is in force"
    worker.live.snapshot, ready = new, worker.ready
    after = worker.ask(*packets, packet("n2.bet.example"), tcp=tcp)
    assert worker.ready == ready + 5
    said = [str(dnslib.DNSRecord.parse(each).rr[0].rdata) for each in after]
    assert said == ["203.0.113.7", "127.0.0.1", "127.0.0.1", "203.0.113.7", "127.0.0.1"]


@pytest.mark.parametrize("gateway", [False, True])
@pytest.mark.parametrize("tcp", [False, True])
def test_a_rehearsal_leaves_no_trace(two, two_gateways, make_snapshot, tcp, gateway):
    worker, alone = two = two_gateways if gateway else two
    packets = [
        packet(name) for name in ("news.example", "nowhere.test", "mask.icloud.com", "a.bet.example", "cloaked.example")
    ]
    for each in two:
        each.ask(*packets, tcp=tcp)
    coming = worker.answers.rehearsal(make_snapshot(names=NAMES, site_rules=AFTER))
    for each in two:
        each.ask(*packets, tcp=tcp)
    while coming.work(worker.now):
        pass
    assert worker.events == alone.events
    assert worker.answers.told() == alone.answers.told()


def test_one_that_never_comes_into_force_changes_nothing(two, make_snapshot):
    worker, other = two
    packets = [packet("news.example"), packet("a.bet.example")]
    worker.ask(*packets)
    for names in ({}, NAMES):
        coming = worker.answers.rehearsal(make_snapshot(names=names))
        worker.ask(*packets)
        coming.work(worker.now, 60)
    worker.live.snapshot = other.live.snapshot = make_snapshot(names={"news.example": "gambling"})
    assert worker.ask(*packets) == other.ask(*packets)


def test_schools_whose_rules_stay_keep_their_replies(make_live, at):
    live = make_live(names=NAMES, site_rules=BEFORE)
    first = live.snapshot
    groups, networks = (Group("ks2", "Years 3 to 6", "ks2"),), (Network("n1", "ks2", "127.40.0.0/16"),)
    oakfield = SchoolPolicy("oakfield", "Oakfield", "a", "d", groups, networks)

    def both(hillview):
        schools = {"hillview": hillview, "oakfield": oakfield}
        return Snapshot(
            2, first.authority, schools, first.authorities, first.dictionaries, {"hillview": 8}, Clients(schools.values())
        )

    live.snapshot = both(first.schools["hillview"])
    worker = Worker(live, at)
    asked = [packet("news.example"), packet("a.bet.example")]
    for source in (KS3, OAKFIELD):
        worker.ask(*asked, source=source)
    for rehearsed in (False, True):
        changed = both(replace(first.schools["hillview"], site_rules=AFTER if rehearsed else ()))
        if rehearsed:
            coming = worker.answers.rehearsal(changed)
            worker.ask(*asked, source=OAKFIELD)
            assert not coming.work(worker.now, 60)
            assert len(coming.ready) == 0, "what stays is not decided again"
        live.snapshot, ready = changed, worker.ready
        worker.ask(*asked, source=OAKFIELD)
        assert worker.ready == ready + 2
        worker.ask(*asked, source=KS3)
        assert worker.ready == ready + 2, "a changed school starts afresh"


def test_what_cannot_be_decided_is_refused_when_it_is_in_force(two, make_snapshot):
    class Broken:
        def find(self, host, path=None):
            raise RuntimeError

        kin = has_pages = find

    worker = two[0]
    new = make_snapshot()
    object.__setattr__(new.dictionaries["d"], "index", Broken())
    worker.ask(packet("news.example"))
    coming = worker.answers.rehearsal(new)
    worker.ask(packet("news.example"), b"", b"\xff" * 40)
    assert not coming.work(worker.now, 60)
    assert worker.answers.undecided == 0
    worker.live.snapshot = new
    assert worker.ask(packet("news.example"))[0][3] & 0xF == 2


def test_strangers_and_too_many_are_passed_over(two, make_snapshot):
    worker = two[0]
    worker.ask(packet("news.example"))
    coming = worker.answers.rehearsal(make_snapshot(names=NAMES))
    worker.ask(packet("news.example"), source=STRANGER)
    for _ in range(MOST // 60 + 5):
        worker.ask(*[packet("a.bet.example")] * 60)
    assert coming.count < MOST + 60
    while coming.work(worker.now):
        pass
    assert len(coming.ready) == 0


def test_nothing_is_rehearsed_before_anything_was_asked(make_live, make_snapshot, at):
    assert Worker(make_live(), at).answers.rehearsal(make_snapshot()) is None


def test_what_no_reply_is_kept_of_is_not_decided(two, make_snapshot):
    """A client that pads its questions, say: each of its replies is made for it alone."""
    worker = two[0]
    worker.ask(packet("news.example"))
    coming = worker.answers.rehearsal(make_snapshot(names=NAMES))
    padded = packet("news.example", edns=True)[:-2] + struct.pack("!HHH", 4, codec.PADDING, 0)
    worker.ask(padded, tcp=True)
    worker.ask(padded)
    assert coming.count == 2
    assert not coming.work(worker.now, 60)
    assert len(coming.ready) == 0


def test_a_server_rehearses_before_it_turns(running, make_live, make_snapshot, upstream):
    upstream.zone["news.example", "A"] = "news.example. 300 IN A 203.0.113.7"
    live = make_live()
    with running(live, upstream.address) as server:
        said = lambda: str(server.ask("news.example").rr[0].rdata)  # noqa: E731
        assert said() == "203.0.113.7"
        new = live.coming = make_snapshot(site_rules=(SiteRule("r1", "news.example", Action.BLOCK, 4),))
        seen = set()
        while live.snapshot is not new:
            seen.add(said())
        assert seen <= {"203.0.113.7", "127.0.0.1"}
        assert said() == "127.0.0.1"


def test_a_rehearsal_that_fails_holds_nothing_up(running, make_live, make_snapshot, upstream, caplog):
    class Odd(Snapshot):
        tried = 0

        def says_the_same(self, other, school):
            Odd.tried += 1
            if Odd.tried == 1:
                raise RuntimeError
            return super(type(self), self).says_the_same(other, school)

    upstream.zone["news.example", "A"] = "news.example. 300 IN A 203.0.113.7"
    live = make_live()
    with running(live, upstream.address) as server:
        server.ask("news.example")
        new = make_snapshot(names={"news.example": "gambling"})
        new = live.coming = Odd(*(getattr(new, each) for each in Snapshot.__slots__))
        while live.snapshot is not new:
            server.ask("bet.example")
        assert str(server.ask("news.example").rr[0].rdata) == "127.0.0.1"
    assert Odd.tried == 2
    assert "unrehearsed" in caplog.text
