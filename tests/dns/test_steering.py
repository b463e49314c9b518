"""On a gateway: what the kernel must know before an answer leaves, asked for over a socket of the test's own."""

import asyncio
import json
import threading
from dataclasses import dataclass, field, replace

import dnslib
import pytest

from dns.answers import Answers
from dns.quick import PATIENCE_S
from dns.settings import Settings
from dns.steering import Network, Steered
from dns.waiting import Waiting
from policy.identity import Clients
from policy.presence import Presence, Present, line
from policy.rules import Belonging, Passage, passage_id

LISTENER, PUPIL, RELAYED, STRANGER = "dns:0.0.0.0:53", "127.20.3.5", "127.20.9.5", "127.20.4.5"
FOUR, SIX = ["198.18.0.7"], ["fd73:6368:6f6f:6c67::7"]


@dataclass
class Writer:
    """The process that steers, as far as a resolver sees it."""

    path: str
    asked: list = field(default_factory=list)
    seconds: float = 600
    silent: bool = False
    slow: bool = False  # too slow for who waits for it and does nothing else
    odd: bool = False  # says what nobody can read

    def there(self):
        """In a thread of its own, as it is a process of its own; returns what ends it."""
        ready, over, loops = threading.Event(), asyncio.Event(), []

        async def whole():
            loops.append(asyncio.get_running_loop())
            server = await asyncio.start_unix_server(self.serve, self.path)
            ready.set()
            await over.wait()
            server.close()

        thread = threading.Thread(target=asyncio.run, args=(whole(),))
        thread.start()
        ready.wait(10)

        def end():
            loops[0].call_soon_threadsafe(over.set)
            thread.join(10)

        return end

    async def serve(self, reader, writer):
        try:
            await self.answer(reader, writer)
        finally:
            writer.close()

    async def answer(self, reader, writer):
        while line := await reader.readline():
            match json.loads(line):
                case [number, "permit", *what]:
                    self.asked.append(("permit", *what))
                    answer = [number, self.seconds]
                case [number, "name", host]:
                    self.asked.append(("name", host))
                    answer = [number, 7]
                case _:
                    continue
            if self.silent:
                return
            if self.slow:
                await asyncio.sleep(2 * PATIENCE_S)
            writer.write(b"[" * 50_000 + b"\n" if self.odd else json.dumps(answer).encode() + b"\n")


@dataclass
class Gate:
    """A resolver beside the process that steers, with a clock to turn."""

    answers: Answers
    writer: Writer
    now: float
    events: list

    async def connected(self, *, no_more=False):
        while (self.answers.steering._writer is None) is not no_more:  # noqa: ASYNC110 - nothing else waits for it
            await asyncio.sleep(0.001)

    async def ask(self, name, kind="A", address=PUPIL):
        packet = bytes(dnslib.DNSRecord.question(name, kind).pack())
        reply = self.answers.at_once(packet, LISTENER, address)
        said = dnslib.DNSRecord.parse(await self.answers.later(reply) if isinstance(reply, Waiting) else reply)
        return dnslib.RCODE[said.header.rcode], [str(rr.rdata) for rr in said.rr], [rr.ttl for rr in said.rr]


@pytest.fixture
def gate(tmp_path, make_live, at, upstream):
    upstream.zone["news.example", "A"] = "news.example. 300 IN A 45.33.32.7"
    upstream.zone["news.example", "AAAA"] = "news.example. 300 IN AAAA 2a00::7"
    upstream.zone["odd.example", "A"] = "odd.example. 300 IN A 45.33.32.7"
    upstream.zone["odd.example", "AAAA"] = "odd.example. 300 IN AAAA 2a00::7"
    upstream.zone["odd.example", "HTTPS"] = "odd.example. 300 IN HTTPS 1 . alpn=h2 ipv4hint=45.33.32.7"

    def told(story, *, there=True, **writer):
        async def whole():
            made = Writer(str(tmp_path / "steer.sock"), **writer)
            networks = (Network("127.20.3.0/24"), Network("127.20.9.0/24", forward=False, six=False))
            patience = PATIENCE_S if made.slow or made.silent else 10.0  # on a busy machine nothing takes milliseconds
            steered = Steered(made.path, networks, patience)
            settings = Settings((("127.0.0.1", 0),), (upstream.address,), steered=steered)
            it = Gate(None, made, at.timestamp(), [])
            it.answers = Answers(settings, make_live(), it.events.append, worker="dns-1", clock=lambda: it.now)
            end = made.there() if there else lambda: None
            keeping = asyncio.create_task(it.answers.steering.run())
            if there:
                await it.connected()
            try:
                await story(it)
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
                await it.answers.close()
                end()

        asyncio.run(whole())

    return told


def test_a_direct_name_is_permitted_first_and_then_known(gate):
    async def story(it):
        for _ in range(3):
            assert await it.ask("news.example") == ("NOERROR", ["45.33.32.7"], [60])
        assert await it.ask("news.example", address="127.20.3.6") == ("NOERROR", ["45.33.32.7"], [60])
        assert it.writer.asked == [
            ("permit", LISTENER, each, "news.example", ["45.33.32.7"]) for each in (PUPIL, "127.20.3.6")
        ], "each client for itself, though both would get the same reply"
        it.now += 301
        await it.ask("news.example")
        assert len(it.writer.asked) == 3, "asked for again while it still holds"

    gate(story)


def test_many_that_came_together_are_permitted_together(gate):
    """A reply that is ready waits for nothing but its permit; who has one already waits for nobody."""

    async def story(it):
        await it.ask("news.example")
        packet = bytes(dnslib.DNSRecord.question("news.example", "A").pack())
        sources = [bytes([127, 20, 3, each]) for each in (5, 6, 7, 6)]
        replies = it.answers.many([(packet, each) for each in sources], LISTENER)
        assert {str(dnslib.DNSRecord.parse(each).rr[0].rdata) for each in replies} == {"45.33.32.7"}
        assert [client for _, _, client, *_ in it.writer.asked] == [PUPIL, "127.20.3.6", "127.20.3.7", "127.20.3.6"]
        assert [event.address for event in it.events] == [PUPIL, PUPIL, "127.20.3.6", "127.20.3.7", "127.20.3.6"]
        it.answers.many([(packet, each) for each in sources], LISTENER)
        assert len(it.writer.asked) == 4

    gate(story)


@pytest.mark.parametrize("alone", [False, True])
def test_a_permit_that_ends_in_trouble_is_an_answer_refused_and_told(gate, caplog, alone):
    """Neither silence nor an address that the kernel may know as another's."""

    async def story(it):
        await it.ask("news.example")
        packet = bytes(dnslib.DNSRecord.question("news.example", "A").pack())
        blocked = bytes(dnslib.DNSRecord.question("bet.example", "A").pack())
        it.writer.odd = True
        it.events.clear()
        if alone:
            replies = [it.answers.at_once(each, LISTENER, "127.20.3.6", tcp=True) for each in (packet, blocked, packet)]
        else:
            replies = it.answers.many([(each, bytes([127, 20, 3, 6])) for each in (packet, blocked, packet)], LISTENER)
        said = [dnslib.DNSRecord.parse(each) for each in replies]
        assert [dnslib.RCODE[each.header.rcode] for each in said] == ["SERVFAIL", "NOERROR", "SERVFAIL"]
        assert [len(each.rr) for each in said] == [0, 1, 0]
        assert sorted(event.action for event in it.events) == ["block"] * 3
        assert it.answers.undecided == 2
        assert "RecursionError" in caplog.text
        assert "news.example" not in caplog.text

    gate(story)


def rehearsed(it, snapshot, *names, clients=(PUPIL,)):
    """These have asked while a policy was rehearsed, which then came into force."""
    coming = it.answers.rehearsal(snapshot)
    for name in names:
        packet = bytes(dnslib.DNSRecord.question(name, "A").pack())
        for client in clients:
            it.answers.at_once(packet, LISTENER, client, tcp=True)
            it.answers.many([(packet, bytes(map(int, client.split("."))))], LISTENER)
    assert not coming.work(it.now, 60)
    return coming


def test_a_rehearsed_reply_waits_for_the_permit_of_each_client_under_the_new_policy(gate):
    async def story(it):
        assert (await it.ask("news.example"))[1] == ["45.33.32.7"]
        assert (await it.ask("odd.example"))[1] == FOUR
        before, live = list(it.writer.asked), it.answers._live
        new = replace(live.snapshot, generation=2)
        rehearsed(it, new, "news.example", "odd.example")
        assert it.writer.asked == before, "the kernel is told of nothing that is not in force"
        live.snapshot, ready = new, it.answers.counters.replies["ready"]
        packets = [bytes(dnslib.DNSRecord.question(name, "A").pack()) for name in ("news.example", "odd.example")]
        pupils = [bytes([127, 20, 3, each]) for each in (5, 6)]
        replies = it.answers.many([(packet, pupil) for pupil in pupils for packet in packets], LISTENER)
        assert [str(dnslib.DNSRecord.parse(each).rr[0].rdata) for each in replies] == ["45.33.32.7", *FOUR] * 2
        assert it.answers.counters.replies["ready"] == ready + 4
        permits = [("permit", LISTENER, each, "news.example", ["45.33.32.7"]) for each in (PUPIL, "127.20.3.6")]
        assert it.writer.asked == [*before, *permits], "what was permitted by the old one holds no more"
        reply = it.answers.at_once(packets[0], LISTENER, "127.20.3.7", tcp=True)
        assert str(dnslib.DNSRecord.parse(reply).rr[0].rdata) == "45.33.32.7"
        assert it.answers.counters.replies["ready"] == ready + 5
        assert [client for _, _, client, *_ in it.writer.asked[-1:]] == ["127.20.3.7"]

    gate(story)


def test_a_network_is_rehearsed_as_the_new_policy_has_it(gate):
    async def story(it):
        live = it.answers._live
        (school,) = [each for each in live.snapshot.schools.values() if each.networks]
        prefix = next(each.prefix for each in school.networks if each.prefix.startswith("127.20.3."))
        free = replace(school, passages=(Passage(passage_id(prefix), prefix, 7, filtered=False),))
        assert (await it.ask("odd.example"))[1] == FOUR
        for one, led in ((free, ["45.33.32.7"]), (school, FOUR)):
            new = replace(live.snapshot, schools={school.log: one})
            rehearsed(it, new, "odd.example")
            assert (await it.ask("odd.example"))[1] != led, "of the old one until then"
            live.snapshot, ready = new, it.answers.counters.replies["ready"]
            assert (await it.ask("odd.example"))[1] == led
            assert it.answers.counters.replies["ready"] == ready + 1

    gate(story)


def test_what_was_rehearsed_ends_with_the_connection(gate):
    """A name's address may be another's when who steers has begun anew."""

    async def story(it):
        await it.ask("odd.example")
        new = replace(it.answers._live.snapshot, generation=2)
        rehearsed(it, new, "odd.example")
        it.answers.steering._writer.close()
        await it.connected(no_more=True)
        it.answers._live.snapshot = new
        assert (await it.ask("odd.example"))[0] == "SERVFAIL"

    gate(story)


def test_who_is_slow_is_asked_by_the_line_that_makes_nobody_wait(gate):
    async def story(it):
        assert await it.ask("news.example") == ("NOERROR", ["45.33.32.7"], [60])
        assert await it.ask("odd.example") == ("NOERROR", FOUR, [20])
        packet = bytes(dnslib.DNSRecord.question("news.example", "A").pack())
        (reply,) = it.answers.many([(packet, bytes([127, 20, 3, 6]))], LISTENER)
        assert isinstance(reply, Waiting), "ready, but for a permit that has to be waited for"
        assert dnslib.DNSRecord.parse(await it.answers.later(reply)).rr
        assert it.answers.steering.lacks(LISTENER, "127.20.3.6", ("news.example", ("45.33.32.7",)), it.now) is None

    gate(story, slow=True)


def test_a_network_that_policy_no_longer_filters_is_not_steered(gate):
    async def story(it):
        live = it.answers._live
        (school,) = [each for each in live.snapshot.schools.values() if each.networks]
        prefix = next(each.prefix for each in school.networks if each.prefix.startswith("127.20.3."))
        free = replace(school, passages=(Passage(passage_id(prefix), prefix, 7, filtered=False),))
        assert (await it.ask("odd.example"))[1] == FOUR
        for one, led in ((free, ["45.33.32.7"]), (school, FOUR)):
            live.snapshot = replace(live.snapshot, schools={school.log: one})
            assert (await it.ask("odd.example"))[1] == led

    gate(story)


def test_a_name_to_be_seen_gets_an_address_of_its_own(gate, upstream):
    async def story(it):
        assert await it.ask("odd.example") == ("NOERROR", FOUR, [20])
        assert await it.ask("odd.example", "AAAA") == ("NOERROR", SIX, [20])
        assert await it.ask("odd.example", "HTTPS") == ("NOERROR", [], []), "its hints are real addresses"
        assert await it.ask("odd.example", address="127.20.3.6") == ("NOERROR", FOUR, [20])
        assert it.writer.asked == [("name", "odd.example")]
        assert {event.detail.partition("; ")[2] for event in it.events} == {"seen by the proxy"}

    gate(story)


def test_where_all_goes_by_the_proxy_nothing_is_permitted(gate):
    async def story(it):
        assert await it.ask("news.example", address=RELAYED) == ("NOERROR", ["45.33.32.7"], [60])
        assert await it.ask("odd.example", address=RELAYED) == ("NOERROR", FOUR, [20])
        assert (await it.ask("odd.example", "AAAA", address=RELAYED))[:2] == ("NOERROR", []), "no IPv6 there"
        assert it.writer.asked == [("name", "odd.example")]

    gate(story)


def test_other_networks_get_what_they_always_got(gate):
    async def story(it):
        for name in ("news.example", "odd.example"):
            assert (await it.ask(name, address=STRANGER))[1] == ["45.33.32.7"]
        assert it.writer.asked == []

    gate(story)


def test_a_permit_that_is_refused_leaves_the_answer_and_is_asked_for_again(gate):
    async def story(it):
        for _ in range(2):
            assert (await it.ask("news.example"))[1] == ["45.33.32.7"], "it goes by the proxy"
        assert len(it.writer.asked) == 2

    gate(story, seconds=0)


@pytest.mark.parametrize("how", [{"there": False}, {"silent": True}])
def test_when_nobody_steers(gate, how):
    async def story(it):
        assert (await it.ask("news.example"))[1] == ["45.33.32.7"], "it goes by the proxy, or nowhere"
        assert (await it.ask("odd.example"))[0] == "SERVFAIL", "the real address may be permitted for another name"
        assert (await it.ask("bet.example"))[0] == "NOERROR", "a block needs nobody"

    gate(story, **how)


def test_what_was_permitted_is_forgotten_with_the_connection(gate):
    async def story(it):
        await it.ask("news.example")
        it.answers.steering._writer.close()
        await it.connected(no_more=True)
        assert (await it.ask("news.example"))[1] == ["45.33.32.7"]
        await it.connected()
        await it.ask("news.example")
        assert len(it.writer.asked) == 2

    gate(story)


def test_who_signs_in_or_out_is_decided_upon_anew_and_permitted_anew(gate, tmp_path):
    """What the process that steers ended with a sign-in must not be taken for permitted when she is back."""

    async def story(it):
        presence, live = Presence(tmp_path / "presence"), it.answers._live
        (school,) = [each for each in live.snapshot.schools.values() if each.networks]
        staff = next(group.id for group in school.groups if group.phase == "staff")
        school = replace(school, belongings=(Belonging("b", staff, 7, role="Staff"),))
        live.snapshot = replace(live.snapshot, schools={school.log: school}, clients=Clients([school], presence))
        kim = Present(school.log, "d-1", "neighbour", "p-1", "radius", "kim", ("Staff",))
        for there in (None, kim, None, kim):
            with (tmp_path / "presence").open("ab") as file:
                file.write(line(PUPIL, 1e12, there))
            presence.refresh(it.now)
            for _ in range(2):
                await it.ask("news.example")
            await it.ask("news.example", address="127.20.3.6")
        assert [client for _, _, client, *_ in it.writer.asked] == [PUPIL, "127.20.3.6", PUPIL, PUPIL, PUPIL]
        told = [
            (event.group == staff, event.identified_by, event.person, event.device)
            for event in it.events
            if event.address == PUPIL
        ]
        assert told == [
            *[(False, "network", "", "")] * 2, *[(True, "radius", "p-1", "d-1")] * 2,
            *[(False, "network", "", "")] * 2, *[(True, "radius", "p-1", "d-1")] * 2,
        ]  # fmt: skip

    gate(story)
