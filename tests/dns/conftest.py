"""A small school, a policy of its own, a little upstream and a client: what the resolver's tests play with."""

import asyncio
import csv
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dnslib
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from category_lists import taxonomy
from category_lists.index import Match
from category_lists.names import parents
from dns.server import bind, serve
from dns.settings import Settings
from policy import search_engines
from policy.event import Event
from policy.identity import Clients
from policy.rules import AuthorityPolicy, Group, Network, SchoolPolicy
from policy.snapshot import LoadedDictionary, Snapshot

AT = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class FakeIndex:
    """Names and their categories, in a dict."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def find(self, host: str, path: str | None = None) -> Sequence[Match]:
        return [Match(self._names[each], "starter", "1", each, "") for each in parents(host) if each in self._names]

    def kin(self, host: str) -> tuple[str, ...]:
        return tuple(self._names[each] for each in parents(host) if each in self._names)

    def has_pages(self, host: str) -> bool:
        return False


NAMES = {
    "bet.example": "gambling",
    "sealed.example": "csam_illegal",
    "malware.example": "malware_phishing",
    "helpline.example": "essentials",
    "news.example": "news",
}


@dataclass
class FakeLive:
    """The policy in force, swapped by hand."""

    snapshot: Snapshot
    refreshed: threading.Event = field(default_factory=threading.Event)
    coming: Snapshot | None = None  # comes into force at the next look

    def refresh(self, before: Callable[[Snapshot], None] = lambda _: None) -> bool:
        coming, self.coming = self.coming, None
        if coming:
            before(coming)
            self.snapshot = coming
        self.refreshed.set()
        return coming is not None


def _snapshot(names: Mapping[str, str] = NAMES, generation: int = 1, **school) -> Snapshot:
    authority = AuthorityPolicy(
        "birchwood",
        "Birchwood",
        "d",
        site_rules=school.pop("authority_sites", ()),
        category_rules=school.pop("authority_categories", ()),
    )
    school.setdefault("groups", (Group("ks3", "Years 7 to 9", "ks3"), Group("staff", "Staff", "staff")))
    school.setdefault(
        "networks",
        (
            Network("n-ks3", "ks3", "127.20.3.0/24"),
            Network("n-forced", "ks3", "127.20.4.0/24", forced=True),
            Network("n-staff", "staff", "127.20.9.0/24"),
            Network("n-six", "ks3", "2001:db8::/32"),
        ),
    )
    hillview = SchoolPolicy("hillview", "Hillview School", "a", "d", **school)
    dictionary = LoadedDictionary("d", FakeIndex(names), taxonomy.load(), search_engines.load())
    return Snapshot(
        generation=generation,
        authority=authority,
        schools={"hillview": hillview},
        authorities={"a": authority},
        dictionaries={"d": dictionary},
        revisions={"hillview": 7},
        clients=Clients([hillview]),
    )


@pytest.fixture
def make_snapshot() -> Callable[..., Snapshot]:
    return _snapshot


@pytest.fixture
def make_live() -> Callable[..., FakeLive]:
    return lambda **given: FakeLive(_snapshot(**given))


@pytest.fixture
def at() -> datetime:
    return AT


class Upstream:
    """A resolver that knows a table: (name, type) -> zone lines, or a function of the query; else NXDOMAIN with an SOA.

    A value of None is silence. Answers that do not fit are truncated over UDP when `small` says so.
    """

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], object] = {}
        self.asked: list[tuple[str, str, str]] = []  # name, type, transport
        self.raw: list[bytes] = []
        self.truncate = False
        self.came = threading.Event()  # something was asked
        self.hold = threading.Event()  # answers wait for this
        self.hold.set()
        self.udp, self.tcp = bind("127.0.0.1", 0)
        for sock in (self.udp, self.tcp):
            sock.setblocking(True)
        self.tcp.listen()
        self.address = self.udp.getsockname()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()

    def answer(self, packet: bytes, transport: str) -> bytes | None:
        query = dnslib.DNSRecord.parse(packet)
        name, kind = str(query.q.qname).rstrip(".").lower(), dnslib.QTYPE.get(query.q.qtype)
        self.asked.append((name, kind, transport))
        self.raw.append(packet)
        self.came.set()
        self.hold.wait(20)
        found = self.zone.get((name, kind), "")
        if found is None:
            return None
        if callable(found):
            return found(packet)
        reply = query.reply(ra=1, aa=0)
        if self.truncate and transport == "udp":
            reply.header.tc = 1
        elif found:
            reply.add_answer(*dnslib.RR.fromZone(found))
        else:
            if not any(each == name for each, _ in self.zone):
                reply.header.rcode = 3
            reply.add_auth(*dnslib.RR.fromZone("example. 300 IN SOA a.example. b.example. 1 2 3 4 120"))
        reply.add_ar(dnslib.EDNS0(udp_len=1232))
        return reply.pack()

    def _serve_udp(self) -> None:
        with suppress(OSError):
            while True:
                packet, sender = self.udp.recvfrom(4096)
                if packet == b"":
                    return
                if reply := self.answer(packet, "udp"):
                    self.udp.sendto(reply, sender)

    def _serve_tcp(self) -> None:
        with suppress(OSError):
            while True:
                conn, _ = self.tcp.accept()
                with conn, conn.makefile("rb") as stream:
                    head = stream.read(2)
                    if not head:
                        return
                    reply = self.answer(stream.read(int.from_bytes(head)), "tcp")
                    if reply:
                        conn.sendall(len(reply).to_bytes(2) + reply)

    def close(self) -> None:
        self.hold.set()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        with suppress(OSError), socket.create_connection(self.address):
            pass
        for thread in self._threads:
            thread.join(5)
        self.udp.close()
        self.tcp.close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


@dataclass
class Running:
    """A resolver that runs in a thread of its own."""

    address: tuple[str, int]
    names: list[str]
    recorded: list[Event]
    loop: asyncio.AbstractEventLoop
    live: FakeLive
    counted: list[dict] = field(default_factory=list)
    more: threading.Event = field(default_factory=threading.Event)

    @property
    def events(self) -> list[Event]:
        """The events so far. A reply leaves before its event is recorded, so what the loop has begun is awaited."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(done.set)
        assert done.wait(10)
        return self.recorded

    def told(self) -> dict:
        """The counters as they are now: what is told after this moment."""
        self.more.clear()
        assert self.more.wait(10)
        return self.counted[-1]

    def packet(self, packet: bytes, source: str = "127.20.3.5", wait: float = 10) -> bytes:
        """Send bytes from an address and get the answer's bytes."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((source, 0))
            sock.settimeout(wait)
            sock.sendto(packet, self.address)
            return sock.recv(65535)

    def ask(self, name: str, kind: str = "A", source: str = "127.20.3.5", **more) -> dnslib.DNSRecord:
        query = dnslib.DNSRecord.question(name, kind)
        if more.pop("edns", False):
            query.add_ar(dnslib.EDNS0(udp_len=more.pop("size", 1232), flags="do" if more.pop("do", False) else ""))
        reply = dnslib.DNSRecord.parse(self.packet(query.pack(), source))
        assert reply.header.id == query.header.id
        return reply

    def stream(self, source: str = "127.20.3.5") -> socket.socket:
        return socket.create_connection(self.address, timeout=10, source_address=(source, 0))


@pytest.fixture
def running() -> Iterator[Callable[..., object]]:
    """A context manager: `with running(live, upstream.address) as server`."""

    @contextmanager
    def run(live: FakeLive, *upstreams: tuple[str, int], loop_factory=None, **settings) -> Iterator[Running]:
        events: list[Event] = []
        ready, loops, failed = threading.Event(), [], []
        names: list[str] = []
        counted: list[dict] = []
        more = threading.Event()

        def tell(counters: dict) -> None:
            counted.append(counters)
            more.set()

        async def main() -> None:
            stop = asyncio.Event()
            loops.append((asyncio.get_running_loop(), stop))

            def is_ready(found: list[str]) -> None:
                names.extend(found)
                ready.set()

            given = {"listen": (("127.0.0.1", 0),), "upstreams": upstreams or (("127.0.0.1", 9),), **settings}
            await serve(Settings(**given), live, events.append, ready=is_ready, stop=stop, worker="dns-1", told=tell)

        def body() -> None:
            try:
                asyncio.run(main(), loop_factory=loop_factory)
            except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
                failed.append(error)
                ready.set()

        thread = threading.Thread(target=body)
        thread.start()
        assert ready.wait(10)
        if failed:
            raise failed[0]
        host, _, port = names[0].rpartition(":")
        try:
            yield Running((host, int(port)), names, events, loops[0][0], live, counted, more)
        finally:
            loop, stop = loops[0]
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
        assert not thread.is_alive()
        assert not failed, failed

    return run


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> tuple[str, str]:
    """A certificate for localhost and any name below filter.example, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "filter.example")])
    names = [x509.DNSName(each) for each in ("localhost", "filter.example", "*.filter.example")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "dns.pem", folder / "dns-key.pem"
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(files[0]), str(files[1])


def _packet(name: bytes, *, flags: int = 0x100, counts: tuple[int, int] = (1, 0), after: bytes = b"\0\1\0\1") -> bytes:
    """A query with 7 for its id: `name` as it stands on the wire, `counts` of questions and of additional records."""
    return struct.pack("!HHHHHH", 7, flags, counts[0], 0, 0, counts[1]) + name + after


_SHUT = b"\7blocked\7example\0"
_OPT = b"\0\0\x29\4\xd0" + bytes(6)
ODD_PACKETS = (  # name, packet, what it is to us
    ("plain", _packet(_SHUT), "block answer"),
    ("type 65", _packet(_SHUT, after=b"\0\x41\0\1"), "block answer"),
    ("spelling", _packet(b"\7bLoCkEd\7EXAMple\0"), "block answer"),
    ("largest size", _packet(_SHUT, counts=(1, 1), after=b"\0\1\0\1\0\0\x29\xff\xff" + bytes(6)), "block answer"),
    ("line feeds in a label", _packet(b"\7a\r\nb\x1b[J\7example\0"), "read"),
    ("canary", _packet(b"\x13use-application-dns\3net\0"), "read"),
    ("another class", _packet(b"\7version\4bind\0", after=b"\0\x10\0\3"), "read"),
    ("256 bytes of name", _packet((b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"b" * 62 + b"\0"), "FORMERR"),
    ("a pointer to itself", _packet(b"\xc0\x0c"), "FORMERR"),
    ("a pointer past the end", _packet(b"\xc0\xff"), "FORMERR"),
    ("two questions", _packet(b"\7allowed\7example\0", counts=(2, 0), after=b"\0\1\0\1" + _SHUT + b"\0\1\0\1"), "FORMERR"),
    ("two OPT records", _packet(_SHUT, counts=(1, 2), after=b"\0\1\0\1" + _OPT * 2), "FORMERR"),
    ("a reply", _packet(_SHUT, flags=0x8180), "drop"),
    ("five bytes", _packet(_SHUT)[:5], "drop"),
    ("an update", _packet(_SHUT, flags=0x2900), "NOTIMP or REFUSED"),
)


@pytest.fixture(scope="session")
def odd_packets(shared_data) -> Sequence[tuple[str, bytes, str]]:
    """Queries of every kind, and those of the shared examples where they are."""
    if shared_data is None:
        return ODD_PACKETS
    with (shared_data / "examples" / "dns_examples.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["direction"] == "query" and not row["name"].startswith("tcp")]
    return (*ODD_PACKETS, *((row["name"], bytes.fromhex(row["hex"]), row["expected"]) for row in rows))
