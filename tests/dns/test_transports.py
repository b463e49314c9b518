"""Resolvers that are asked by TLS and by HTTPS, both versions."""

import asyncio
import datetime as dt
import ssl

import dnslib
import h2.config
import h2.connection
import h2.events
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from dns import codec
from dns.codec import Query
from dns.servers import Server
from dns.settings import Settings
from dns.transports import spelling, transport
from dns.upstream import NoAnswer, Upstream

NAME = "resolver.example"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(7).not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    chain = folder / "chain.pem"
    chain.write_bytes(made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return chain


def answer(packet):
    asked = dnslib.DNSRecord.parse(packet)
    reply = asked.reply(ra=1, aa=0)
    name = str(asked.q.qname).lower()
    if name.startswith("big"):
        for n in range(200):
            reply.add_answer(*dnslib.RR.fromZone(f"{name} 300 IN A 203.0.113.{n}"))
    else:
        reply.add_answer(*dnslib.RR.fromZone(f"{name} 300 IN A 203.0.113.7"))
    return bytes(reply.pack())


class Pretend:
    """A resolver of one of three kinds, that can be told to hang up."""

    def __init__(self, kind):
        self.kind, self.connections, self.asked, self.writers = kind, 0, 0, []

    async def serve(self, reader, writer):
        self.connections += 1
        self.writers.append(writer)
        try:
            await getattr(self, self.kind)(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()

    async def tls(self, reader, writer):
        held = []
        while True:
            packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            self.asked += 1
            held.append(answer(packet))
            if not str(dnslib.DNSRecord.parse(packet).q.qname).startswith("hold"):
                for each in reversed(held):  # out of order
                    writer.write(len(each).to_bytes(2) + each)
                held.clear()

    async def http1(self, reader, writer):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("post /dns-query ")
            assert f"host: {NAME}" in head
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            said = answer(await reader.readexactly(length))
            self.asked += 1
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(said)}\r\n\r\n".encode() + said)

    async def http2(self, reader, writer):
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        conn.initiate_connection()
        writer.write(conn.data_to_send())
        bodies = {}
        while data := await reader.read(65535):
            for event in conn.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    headers = dict(event.headers)
                    assert (headers[":authority"], headers[":path"], headers[":method"]) == (NAME, "/dns-query", "POST")
                    bodies[event.stream_id] = b""
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                elif isinstance(event, h2.events.StreamEnded):
                    self.asked += 1
                    packet = bodies.pop(event.stream_id)
                    refused = str(dnslib.DNSRecord.parse(packet).q.qname).startswith("refused")
                    conn.send_headers(event.stream_id, [(":status", "500" if refused else "200")], end_stream=refused)
                    if not refused:
                        conn.send_data(event.stream_id, answer(packet), end_stream=True)
            writer.write(conn.data_to_send())


def query(name):
    return Query(7, name, codec.wire_name(name), codec.A)


def run(kind, certificate, work, name=NAME):
    async def whole():
        server = Pretend(kind)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.set_alpn_protocols(["h2"] if kind == "http2" else ["http/1.1"])
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
        port = listening.sockets[0].getsockname()[1]
        way = "tls" if kind == "tls" else "https"
        asked = Server("127.0.0.1", port, way, name, "" if way == "tls" else "/dns-query")
        trusted = ssl.create_default_context(cafile=certificate)
        try:
            return await work(server, asked, trusted)
        finally:
            listening.close()
            listening.abort_clients()  # those whose handshake never ended too
            await asyncio.sleep(0)

    return asyncio.run(whole())


KINDS = ["tls", "http1", "http2"]


@pytest.mark.parametrize("kind", KINDS)
def test_many_questions_share_one_connection(kind, certificate):
    async def work(server, asked, trusted):
        one = transport(asked, trusted)
        names = [f"hold{n}.example" for n in range(20)] + ["last.example", "big.example"]
        found = await asyncio.gather(*(one.ask(query(name)) for name in names))
        assert [len(each.addresses) for each in found] == [1] * 21 + [200]
        assert (server.connections, server.asked) == (1, 22)
        await one.close()

    run(kind, certificate, work)


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_was_closed_is_made_anew(kind, certificate):
    async def work(server, asked, trusted):
        one = transport(asked, trusted)
        await one.ask(query("a.example"))
        server.writers[0].transport.abort()
        assert (await one.ask(query("b.example"))).addresses == ("203.0.113.7",)
        assert server.connections == 2
        await one.close()

    run(kind, certificate, work)


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_that_is_not_the_resolvers_is_no_answer(kind, certificate):
    async def work(server, asked, trusted):
        upstream = Upstream(Settings((("127.0.0.1", 0),), (asked,)), trusted)
        with pytest.raises(NoAnswer):
            await upstream.fetch(query("a.example"))
        assert server.asked == 0
        await upstream.close()

    run(kind, certificate, work, name="other.example")


def test_a_status_that_is_no_answer(certificate):
    async def work(server, asked, trusted):
        one = transport(asked, trusted)
        with pytest.raises(OSError, match="500"):
            await one.ask(query("refused.example"))
        assert (await one.ask(query("a.example"))).addresses == ("203.0.113.7",)
        await one.close()

    run("http2", certificate, work)


def test_spellings_differ_in_capitals_only():
    name = codec.wire_name("a-long-name-with-63-and-more.example")
    spelt = {spelling(name) for _ in range(20)}
    assert len(spelt) > 15
    assert {each.lower() for each in spelt} == {name}
