"""The door, and balancers that say whom they pass on."""

import contextlib
import socket
import struct

import dnslib
import pytest

from dns.proxied import SIGNATURE
from dns.streams import Door

Q = bytes(dnslib.DNSRecord.question("bet.example").pack())


def framed(packet):
    return len(packet).to_bytes(2) + packet


def read_framed(sock):
    with sock.makefile("rb") as stream:
        return dnslib.DNSRecord.parse(stream.read(int.from_bytes(stream.read(2))))


def header(source=None):
    body = b"" if source is None else socket.inet_aton(source) + bytes(4) + struct.pack("!HH", 5353, 53)
    return SIGNATURE + bytes((0x20 if source is None else 0x21, 0x12)) + struct.pack("!H", len(body)) + body


def closed(sock):
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


class FakeSocket:
    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


def test_the_longest_silent_goes_and_the_busy_stay():
    dropped = []
    door = Door(3, 2, dropped.append)
    socks = [FakeSocket() for _ in range(4)]
    guests = [door.enter(f"10.0.0.{n}", sock.close) for n, sock in enumerate(socks[:3])]
    guests[0].busy = 1
    door.heard(guests[1])
    assert door.enter("10.0.0.9", socks[3].close)
    assert [sock.closed for sock in socks] == [False, False, True, False]
    assert len(door) == 3
    assert dropped == ["silent connection"]
    guests[1].busy = 1
    door.leave(guests[2])  # twice is once
    assert [bool(door.enter("10.0.0.8", FakeSocket().close)) for _ in range(2)] == [True, True]  # the silent ones take turns


def test_nobody_has_more_than_a_share():
    dropped = []
    door = Door(9, 2, dropped.append)
    assert [bool(door.enter("10.0.0.8", FakeSocket().close)) for _ in range(3)] == [True, True, False]
    assert door.enter("10.0.0.9", FakeSocket().close)
    assert dropped == ["connection"]


def test_a_door_full_of_work_lets_nobody_in():
    door = Door(20, 20, lambda _: None)
    for n in range(20):
        door.enter(f"10.0.0.{n}", FakeSocket()).busy = 1
    assert door.enter("10.0.1.1", FakeSocket()) is None


def test_a_crowd_that_says_nothing_keeps_nobody_out(running, make_live):
    with running(make_live(), tcp_connections=50, tcp_per_client=30) as server:
        crowd = [server.stream(f"127.20.3.{10 + n % 200}") for n in range(300)]
        with server.stream("127.20.3.5") as sock:
            sock.sendall(framed(Q))
            assert [str(rr.rdata) for rr in read_framed(sock).rr] == ["127.0.0.1"]
        assert [str(rr.rdata) for rr in server.ask("bet.example").rr] == ["127.0.0.1"]
        for each in crowd:
            each.close()


def test_a_balancer_says_by_udp_whom_a_packet_is_from(running, make_live):
    with running(make_live(), balancers=("127.0.0.9/32",)) as server:
        for packet in (header("127.20.3.5") + Q, header() + Q, header("127.20.9.7") + Q):
            assert dnslib.DNSRecord.parse(server.packet(packet, source="127.0.0.9")).header.rcode == 0
        assert [(event.group, event.address) for event in server.events] == [
            ("ks3", "127.20.3.5"), ("strictest", "127.0.0.9"), ("staff", "127.20.9.7")
        ]  # fmt: skip
        server.events.clear()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.9", 0))
            sock.settimeout(5)
            for packet in (Q, header("127.20.3.5")[:20], b"", header("127.20.3.6") + Q):
                sock.sendto(packet, server.address)
            assert dnslib.DNSRecord.parse(sock.recv(4096)).header.rcode == 0
        assert [event.address for event in server.events] == ["127.20.3.6"]  # the others were dropped


def test_others_may_not_say_so(running, make_live):
    with running(make_live(), balancers=("127.0.0.9/32",)) as server:
        reply = server.packet(header("127.20.9.7") + Q)
        assert dnslib.DNSRecord.parse(reply).header.rcode in (1, 4)
        with server.stream() as sock, contextlib.suppress(OSError):  # closed at any of these, as it is not understood
            sock.sendall(header("127.20.9.7") + framed(Q))
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(100):
                pass
        assert "staff" not in {event.group for event in server.events}


def test_a_reply_that_has_to_wait_goes_to_the_balancer(running, make_live, upstream):
    upstream.zone["news.example", "A"] = "news.example. 300 IN A 203.0.113.7"
    asked = bytes(dnslib.DNSRecord.question("news.example").pack())
    with running(make_live(), upstream.address, balancers=("127.0.0.9/32",)) as server:
        reply = server.packet(header("127.20.3.5") + asked, source="127.0.0.9")
        assert [str(rr.rdata) for rr in dnslib.DNSRecord.parse(reply).rr] == ["203.0.113.7"]
        assert server.events[-1].address == "127.20.3.5"


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_balancer_says_by_tcp_and_tls_whom_a_connection_is_from(running, make_live, certificate, encrypted):
    import ssl

    more = {"dot_listen": (("127.0.0.1", 0),), "certificate": certificate} if encrypted else {}
    with running(make_live(), balancers=("127.0.0.9/32",), **more) as server:
        port = int(server.names[-1].rpartition(":")[2])
        raw = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=("127.0.0.9", 0))
        raw.sendall(header("127.20.9.7"))
        if encrypted:
            raw = ssl.create_default_context(cafile=certificate[0]).wrap_socket(raw, server_hostname="localhost")
        with raw:
            raw.sendall(framed(Q))
            assert read_framed(raw).header.rcode == 0
        assert [(event.group, event.address) for event in server.events] == [("staff", "127.20.9.7")]
        with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=("127.0.0.9", 0)) as sock:
            sock.sendall(framed(Q))
            with contextlib.suppress(OSError):  # it may be closed already, for want of a header
                sock.shutdown(socket.SHUT_WR)
            assert closed(sock)
