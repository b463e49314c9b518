"""The resolver over real sockets, with a little upstream of its own."""

import random
import socket
import subprocess
import sys
import time

import dnslib
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dns.settings import Settings
from policy.presence import Presence
from policy.rules import Action, SiteRule

STAFF = "127.20.9.5"


def addresses(said):
    return [str(rr.rdata) for rr in said.rr]


@pytest.fixture
def news(upstream):
    upstream.zone["news.example", "A"] = "news.example. 300 IN A 203.0.113.7"
    return upstream


def test_blocked_names_never_reach_the_upstream(running, make_live, news):
    with running(make_live(), news.address) as server:
        for kind in ("A", "AAAA", "HTTPS", "SVCB", "TXT", "MX", "ANY"):
            assert server.ask("www.bet.example", kind).header.rcode == 0
        assert addresses(server.ask("news.example")) == ["203.0.113.7"]
    assert [name for name, _, _ in news.asked] == ["news.example"]


def test_a_blocked_name_says_which_category(running, make_live, news):
    with running(make_live(), news.address) as server:
        (option,) = server.ask("bet.example", edns=True).ar[0].rdata
    assert option.code == 15
    assert b"Gambling" in option.data


def test_a_name_that_leads_to_a_blocked_one_is_blocked(running, make_live, news):
    news.zone["shop.example", "A"] = "shop.example. 300 IN CNAME www.bet.example.\nwww.bet.example. 300 IN A 203.0.113.9"
    with running(make_live(), news.address) as server:
        for _ in range(2):  # from the upstream, and from the cache
            assert addresses(server.ask("shop.example")) == ["127.0.0.1"]
        assert [(event.host, event.action, event.detail) for event in server.events] == [
            ("shop.example", "block", "A; via www.bet.example")
        ] * 2


def test_a_name_that_leads_into_the_network_is_refused(running, make_live, news):
    news.zone["rebind.example", "A"] = "rebind.example. 300 IN A 192.168.1.1"
    with running(make_live(), news.address) as server:
        assert server.ask("rebind.example").header.rcode == 3
    with running(make_live(), news.address, inner_networks=("192.168.0.0/16",)) as server:
        assert addresses(server.ask("rebind.example")) == ["192.168.1.1"]


def test_what_does_not_exist_is_remembered(running, make_live, news):
    with running(make_live(), news.address) as server:
        assert [server.ask("gone.example").header.rcode for _ in range(3)] == [3, 3, 3]
    assert len(news.asked) == 1


def test_a_truncated_answer_is_fetched_by_tcp_and_cut_to_the_clients_size(running, make_live, news):
    news.truncate = True
    news.zone["big.example", "A"] = "\n".join(f"big.example. 300 IN A 203.0.113.{each}" for each in range(60))
    with running(make_live(), news.address) as server:
        small = server.ask("big.example")
        assert (small.header.tc, small.rr) == (1, [])
        assert len(server.ask("big.example", edns=True).rr) == 60
        with server.stream() as stream:
            stream.sendall(framed(dnslib.DNSRecord.question("big.example").pack()))
            assert len(read_framed(stream).rr) == 60
    assert [transport for _, _, transport in news.asked] == ["udp", "tcp"]


def test_the_upstream_that_answers_is_asked_next_time(running, make_live, news):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with running(make_live(), silent.getsockname(), news.address, timeout_s=0.3) as server:
            assert addresses(server.ask("news.example")) == ["203.0.113.7"]
            assert server.ask("other.example").header.rcode == 3
        silent.setblocking(False)
        silent.recv(4096)
        with pytest.raises(BlockingIOError):
            silent.recv(4096)


@pytest.mark.parametrize(("silent", "code"), [(True, 22), (False, 23)])
def test_with_a_dead_upstream_blocked_names_are_answered_and_others_fail_in_time(running, make_live, silent, code):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dead:
        dead.bind(("127.0.0.1", 0))
        address = dead.getsockname()
        if not silent:
            dead.close()
        with running(make_live(), address) as server:
            began = time.monotonic()
            query = dnslib.DNSRecord.question("news.example")
            query.add_ar(dnslib.EDNS0(udp_len=1232))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waiting:
                waiting.bind(("127.20.3.6", 0))
                waiting.settimeout(6)
                waiting.sendto(query.pack(), server.address)
                assert addresses(server.ask("bet.example")) == ["127.0.0.1"]
                assert time.monotonic() - began < 1
                said = dnslib.DNSRecord.parse(waiting.recv(4096))
            assert time.monotonic() - began < 5
            assert said.header.rcode == 2
            (option,) = said.ar[0].rdata
            assert int.from_bytes(option.data[:2]) == code
            assert "SERVFAIL" in [event.outcome for event in server.events]


@pytest.mark.parametrize("how", ["other id", "other name", "garbage", "a query"])
def test_a_lying_packet_is_passed_over(running, make_live, news, how):
    def lie(packet):
        query = dnslib.DNSRecord.parse(packet)
        reply = query.reply()
        reply.add_answer(*dnslib.RR.fromZone("news.example. 300 IN A 203.0.113.66"))
        if how == "other id":
            reply.header.id = (reply.header.id + 1) % 65536
        elif how == "other name":
            reply.q.qname = "other.example"
        wire = {"garbage": b"\x00" * 5, "a query": packet}.get(how) or bytes(reply.pack())
        lies.append(wire)
        return wire

    lies = []
    news.zone["news.example", "A"] = lie
    with running(make_live(), news.address, timeout_s=0.2) as server:
        assert server.ask("news.example").header.rcode == 2
    assert lies


def test_identical_questions_are_asked_once(running, make_live, news):
    news.hold.clear()
    with running(make_live(), news.address) as server:
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
        for number, client in enumerate(clients):
            client.settimeout(10)
            client.bind(("127.20.3.5", 0))
            query = dnslib.DNSRecord.question("news.example")
            query.header.id = number
            client.sendto(query.pack(), server.address)
        assert news.came.wait(5)
        assert addresses(server.ask("bet.example")) == ["127.0.0.1"]  # asked last, so all others have been read
        news.hold.set()
        for number, client in enumerate(clients):
            said = dnslib.DNSRecord.parse(client.recv(4096))
            assert (said.header.id, addresses(said)) == (number, ["203.0.113.7"])
            client.close()
    assert len(news.asked) == 1


def test_too_many_waiting_are_told_so(running, make_live, news):
    news.hold.clear()
    with (
        running(make_live(), news.address, waiting_at_most=1) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
    ):
        first.bind(("127.20.3.5", 0))
        first.settimeout(10)
        first.sendto(dnslib.DNSRecord.question("news.example").pack(), server.address)
        assert news.came.wait(5)
        assert server.ask("other.example").header.rcode == 2
        news.hold.set()
        assert addresses(dnslib.DNSRecord.parse(first.recv(4096))) == ["203.0.113.7"]


def test_strangers_are_refused_and_their_junk_is_not_answered(make_live, make_snapshot, running, news):
    live = make_live()
    object.__setattr__(live.snapshot, "clients", Strangers())
    with running(live, news.address) as server:
        assert server.ask("news.example").header.rcode == 5
        assert server.events[-1].outcome == "refused"
    assert news.asked == []


class Strangers:
    presence = Presence()

    def of(self, listener, address):
        return None


def test_the_new_policy_is_looked_for(running, make_live, make_snapshot, news):
    live = make_live()
    with running(live, news.address) as server:
        assert addresses(server.ask("news.example")) == ["203.0.113.7"]
        live.refreshed.clear()
        assert live.refreshed.wait(5)
        live.snapshot = make_snapshot(site_rules=(SiteRule("r1", "news.example", Action.BLOCK, 4),))
        assert addresses(server.ask("news.example")) == ["127.0.0.1"]


# --- strangers' bytes ---


def test_bad_packets_stop_nothing(running, make_live, news):
    chance = random.Random(3)
    good = bytes(dnslib.DNSRecord.question("news.example").pack())
    with running(make_live(), news.address) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.20.3.5", 0))
        for _ in range(2000):
            packet = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                packet[chance.randrange(len(packet))] = chance.randrange(256)
            sock.sendto(packet[: chance.randrange(len(packet) + 1)], server.address)
        for size in (0, 1, 11, 12, 60_000):
            sock.sendto(bytes(size), server.address)
        assert addresses(server.ask("news.example")) == ["203.0.113.7"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_bad_streams_stop_nothing(running_once, data):
    server = running_once
    with server.stream() as stream:
        stream.sendall(data.draw(st.binary(max_size=300)))
        stream.shutdown(socket.SHUT_WR)
        while stream.recv(4096):
            pass
    assert addresses(server.ask("bet.example")) == ["127.0.0.1"]


@pytest.fixture
def running_once(running, make_live):
    with running(make_live()) as server:
        yield server


def test_odd_packets_are_answered_as_they_should_be(running, make_live, news, odd_packets):
    live = make_live(names={"blocked.example": "gambling"})
    with running(live, news.address) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.20.3.5", 0))
        sock.settimeout(10)
        for name, packet, what in odd_packets:
            sock.sendto(packet, server.address)
            if not what.startswith("drop"):
                wire = sock.recv(4096)
                assert wire[:2] == packet[:2], name
                assert len(wire) <= 1232
                if what.startswith("block answer"):
                    assert packet[12:30] in wire, name  # spelt as it was asked
        assert addresses(server.ask("blocked.example")) == ["127.0.0.1"]


# --- TCP ---


def framed(packet):
    return len(packet).to_bytes(2) + bytes(packet)


def exactly(stream, size):
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def read_framed(stream):
    return dnslib.DNSRecord.parse(exactly(stream, int.from_bytes(exactly(stream, 2))))


def test_several_queries_on_one_connection_are_each_decided(running, make_live, news):
    names = ["news.example", "bet.example", "gone.example", "bet.example"]
    queries = [dnslib.DNSRecord.question(name) for name in names]
    with running(make_live(), news.address) as server, server.stream() as stream:
        stream.sendall(b"".join(framed(query.pack()) for query in queries))
        stream.shutdown(socket.SHUT_WR)  # what was asked is answered all the same
        said = {reply.header.id: reply for reply in (read_framed(stream) for _ in names)}
        assert stream.recv(1) == b""
    assert [addresses(said[query.header.id]) for query in queries] == [["203.0.113.7"], ["127.0.0.1"], [], ["127.0.0.1"]]


def test_a_slow_answer_holds_up_no_other_on_its_connection(running, make_live, news):  # RFC 7766 6.2.1.1
    news.hold.clear()
    slow, quick = dnslib.DNSRecord.question("news.example"), dnslib.DNSRecord.question("bet.example")
    with running(make_live(), news.address) as server, server.stream() as stream:
        stream.sendall(framed(slow.pack()) + framed(quick.pack()))
        assert read_framed(stream).header.id == quick.header.id
        news.hold.set()
        assert read_framed(stream).header.id == slow.header.id


def test_more_than_may_be_pipelined_are_answered_in_turn(running, make_live, news):
    with running(make_live(), news.address, tcp_pipelined=2) as server, server.stream() as stream:
        queries = [dnslib.DNSRecord.question(f"w{each}.example") for each in range(30)]
        stream.sendall(b"".join(framed(query.pack()) for query in queries))
        assert {read_framed(stream).header.id for _ in queries} == {query.header.id for query in queries}


def test_one_byte_at_a_time_is_a_query_too(running, make_live, news):
    query = dnslib.DNSRecord.question("bet.example")
    with running(make_live(), news.address) as server, server.stream() as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in framed(query.pack()):
            stream.send(bytes((byte,)))
        assert read_framed(stream).header.id == query.header.id


def test_an_idle_connection_is_closed(running, make_live):
    with running(make_live(), tcp_idle_s=0.1) as server, server.stream() as stream:
        stream.sendall(b"\x00")
        assert stream.recv(1) == b""


def test_when_all_places_are_taken_the_longest_silent_connection_goes(running, make_live):
    query = framed(dnslib.DNSRecord.question("bet.example").pack())
    with running(make_live(), tcp_connections=3) as server:
        kept = [server.stream() for _ in range(3)]
        for stream in (*kept, kept[0]):  # the first speaks again, so the second is silent for longest
            stream.sendall(query)
            read_framed(stream)
        with server.stream() as one_more:
            one_more.sendall(query)
            read_framed(one_more)
            with pytest.raises((EOFError, ConnectionError)):
                exactly(kept[1], 1)
        for stream in kept:
            stream.close()


def test_one_client_has_no_more_than_its_share_of_connections(running, make_live):
    query = framed(dnslib.DNSRecord.question("bet.example").pack())
    with running(make_live(), tcp_per_client=2) as server:
        kept = [server.stream() for _ in range(2)]
        for stream in kept:
            stream.sendall(query)
            read_framed(stream)
        with server.stream() as one_more, pytest.raises((EOFError, ConnectionError)):
            exactly(one_more, 1)
        with server.stream("127.20.3.6") as other:
            other.sendall(query)
            read_framed(other)
        for stream in kept:
            stream.close()


# --- ports ---


def test_workers_share_a_port(running, make_live):
    with running(make_live()) as first, running(make_live(), listen=(first.address,)) as second:
        assert first.names == second.names
        assert addresses(second.ask("bet.example")) == ["127.0.0.1"]


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_that_is_taken_is_said_plainly(running, make_live, kind):
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(OSError, match=f"DNS cannot listen on 127.0.0.1 port {port}: another program has this port"),
            running(make_live(), listen=(("127.0.0.1", port),)),
        ):
            pass


def test_several_addresses_answer_each_as_itself(running, make_live):
    with running(make_live(), listen=(("127.0.0.1", 0), ("127.0.0.2", 0), ("::1", 0))) as server:
        assert len(server.names) == 3
        for name in server.names:
            host, _, port = name.rpartition(":")
            family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.settimeout(10)
                sock.connect((host.strip("[]"), int(port)))  # takes packets from that address only
                sock.send(bytes(dnslib.DNSRecord.question("bet.example").pack()))
                assert addresses(dnslib.DNSRecord.parse(sock.recv(4096))) == ["127.0.0.1"]


def test_it_stops_while_queries_wait_and_connections_are_open(running, make_live, news):
    news.hold.clear()
    with running(make_live(), news.address) as server:
        stream = server.stream()
        stream.sendall(framed(dnslib.DNSRecord.question("news.example").pack()))
        assert news.came.wait(5)
    with stream, pytest.raises((EOFError, ConnectionError)):
        read_framed(stream)


def test_it_runs_on_uvloop_too(running, make_live, news):
    with running(make_live(), news.address, loop_factory=uvloop.new_event_loop) as server:
        for _ in range(2):
            for name, expected in (("news.example", "203.0.113.7"), ("bet.example", "127.0.0.1")):
                assert addresses(server.ask(name)) == [expected]
                with server.stream() as stream:
                    stream.sendall(framed(dnslib.DNSRecord.question(name).pack()))
                    stream.shutdown(socket.SHUT_WR)
                    assert addresses(read_framed(stream)) == [expected]
                    assert stream.recv(1) == b""
        with server.stream() as stream:
            stream.sendall(b"\x00\x05hello")
            assert stream.recv(1) == b""
        idle = server.stream()
    idle.close()


# --- the code ---


def test_no_traffic_needs_dnslib_to_be_fast_or_dnspython_to_exist():
    code = "import dns, dns.server, sys; print(dns.__file__); assert 'dns.resolver' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout


@pytest.mark.parametrize(("given", "why"), [
    ({"listen": ()}, "no address to listen on"),
    ({"upstreams": ()}, "no upstream"),
    ({"timeout_s": 3.0}, "at most 4.5 s"),
    ({"tries": 0}, "at most 4.5 s"),
    ({"upstreams": (("dns.example", 53),)}, "dns.example"),
    ({"page_addresses": ("page",)}, "page"),
    ({"inner_networks": ("10.0.0.0/33",)}, "10.0.0.0/33"),
])  # fmt: skip
def test_settings_that_cannot_work_are_refused(given, why):
    with pytest.raises(ValueError, match=why):
        Settings(**{"listen": (("127.0.0.1", 0),), "upstreams": (("127.0.0.1", 9),), **given})
