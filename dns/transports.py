"""One question to one resolver: by UDP and TCP, by TLS, by HTTPS. Each raises OSError or Malformed when there is no answer.

Plain: every question leaves from a port of the kernel's random choice with a random id and a random spelling of the name
(0x20), on a connected socket, so that only packets from the resolver's own address arrive here, and one that does not repeat
all of it is passed over (RFC 5452, 9.1). A resolver that answers in a spelling of its own is asked again by TCP, where nobody
can slip a packet in; one that always does so is asked in lower case from then on.

Encrypted: one connection is kept open and shared, questions on it go out as they come and are answered in any order.
"""

import asyncio
import contextlib
import secrets
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Protocol

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from dns import codec
from dns.codec import Answer, Malformed, Query
from dns.reading import read_answer
from dns.servers import Server

MANGLED: Final = 3  # answers in another spelling, one after the other, after which it is asked in lower case
SHARED: Final = 100  # questions under way at once on one encrypted connection
LARGEST: Final = 65_535
IDLE_S: Final = 30.0  # an encrypted connection nobody asked anything on is closed


class Transport(Protocol):
    async def ask(self, query: Query) -> Answer: ...

    async def close(self) -> None: ...


def transport(server: Server, context: ssl.SSLContext | None = None) -> Transport:
    """How a resolver is asked. `context` None: the certificate authorities that this machine trusts."""
    if server.way == "plain":
        return Plain(server)
    return Encrypted(server, context or ssl.create_default_context())


# --- plain -----------------------------------------------------------------------------------------------------------


class Plain:
    """UDP; TCP when an answer was truncated or its spelling was not ours."""

    def __init__(self, server: Server) -> None:
        self._where = (server.address, server.port)
        self._mangled = 0

    async def ask(self, query: Query) -> Answer:
        return await self._by_udp(query) or await self._by_tcp(query)

    async def _by_udp(self, query: Query) -> Answer | None:
        loop = asyncio.get_running_loop()
        id_ = secrets.randbelow(0x10000)
        asked = codec.ask(query, id_, spelling(query.qname) if self._mangled < MANGLED else None)
        came: asyncio.Future[Answer | None] = loop.create_future()
        way, _ = await loop.create_datagram_endpoint(
            lambda: _OneAnswer(came, lambda data: self._read(data, query, id_, asked)), remote_addr=self._where
        )
        try:
            way.sendto(asked)
            return await came
        finally:
            way.close()

    def _read(self, data: bytes, query: Query, id_: int, asked: bytes) -> Answer | None:
        answer = read_answer(data, query, id_)
        end = 12 + len(query.qname)
        if data[12:end] == asked[12:end]:
            self._mangled = 0 if self._mangled < MANGLED else self._mangled
            return answer
        self._mangled += 1
        return None  # truncated, as far as we believe it

    async def _by_tcp(self, query: Query) -> Answer:
        id_ = secrets.randbelow(0x10000)
        reader, writer = await asyncio.open_connection(*self._where)
        try:
            asked = codec.ask(query, id_)
            writer.write(len(asked).to_bytes(2) + asked)
            answer = read_answer(await _framed(reader), query, id_)
        except asyncio.IncompleteReadError:
            raise ConnectionError("closed before it answered") from None
        finally:
            writer.close()
        return _whole(answer)

    async def close(self) -> None:
        """Nothing is kept open."""


def spelling(qname: bytes) -> bytes:
    """A name in a random mix of capitals (0x20). Length octets are below any letter, so they stay."""
    coins = secrets.randbits(8 * len(qname)).to_bytes(len(qname))
    return bytes(
        byte ^ 0x20 if 0x61 <= byte <= 0x7A and coin & 1 else byte for byte, coin in zip(qname.lower(), coins, strict=True)
    )


def _whole(answer: Answer | None) -> Answer:
    if answer is None:
        raise Malformed("truncated where nothing needs to be")
    return answer


async def _framed(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))


class _OneAnswer(asyncio.DatagramProtocol):
    """Waits for the packet that is the answer, passing over all that are not."""

    def __init__(self, came: asyncio.Future[Answer | None], read: Callable[[bytes], Answer | None]) -> None:
        self._came, self._read = came, read

    def datagram_received(self, data: bytes, _addr: object) -> None:
        if self._came.done():
            return
        with contextlib.suppress(Malformed):  # a guess of somebody's, or an answer come late
            self._came.set_result(self._read(data))

    def error_received(self, exc: Exception) -> None:
        if not self._came.done():
            self._came.set_exception(exc)


# --- encrypted ---------------------------------------------------------------------------------------------------------


class Encrypted:
    """TLS or HTTPS. The connection is made when first needed, and made anew when it broke."""

    def __init__(self, server: Server, context: ssl.SSLContext) -> None:
        self._server, self._context = server, context
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if server.way == "https":
            context.set_alpn_protocols(["h2", "http/1.1"])
        self._line: _Line | None = None
        self._making = asyncio.Lock()
        self._slots = asyncio.Semaphore(SHARED)

    async def ask(self, query: Query) -> Answer:
        async with self._slots:
            fresh = self._line is None or self._line.broken
            line = await self._connected()
            try:
                return _whole(await line.ask(query))
            except (OSError, EOFError):
                if fresh:
                    raise
            line = await self._connected()  # it was closed while nobody asked anything, as a server may (RFC 7766 6.2.3)
            return _whole(await line.ask(query))

    async def _connected(self) -> "_Line":
        async with self._making:
            if self._line is None or self._line.broken:
                server = self._server
                reader, writer = await asyncio.open_connection(
                    server.address, server.port, ssl=self._context, server_hostname=server.name or server.address
                )
                if server.way == "tls":
                    self._line = _Frames(reader, writer)
                elif _chosen(writer) == "h2":
                    self._line = _Http2(reader, writer, server)
                else:
                    self._line = _Http1(reader, writer, server)
            return self._line

    async def close(self) -> None:
        if self._line:
            await self._line.close()


def _chosen(writer: asyncio.StreamWriter) -> str | None:
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    return tls.selected_alpn_protocol()


class _Line(ABC):
    """An open connection and the task that reads from it. Questions wait by a number for what comes back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self.broken = False
        self._task = asyncio.get_running_loop().create_task(self._read_on())

    async def ask(self, query: Query) -> Answer | None:
        number = self._number()
        came = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            id_ = self._send(number, query)
            await self._writer.drain()
            return read_answer(await came, query, id_)
        finally:
            self._waiting.pop(number, None)

    @abstractmethod
    def _number(self) -> int:
        """A number that no waiting question has."""

    @abstractmethod
    def _send(self, number: int, query: Query) -> int:
        """Write the question; the id that its answer bears."""

    @abstractmethod
    async def _read(self) -> None:
        """Read once, and hand what came to who waits for it."""

    def _came(self, number: int, data: bytes) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting and not waiting.done():
            waiting.set_result(data)

    def _failed(self, number: int, why: str) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting and not waiting.done():
            waiting.set_exception(ConnectionError(why))

    async def _read_on(self) -> None:
        try:
            while True:
                try:
                    async with asyncio.timeout(IDLE_S):
                        await self._read()
                except TimeoutError:
                    if not self._waiting:
                        return
        except (OSError, EOFError, ValueError, h2.exceptions.ProtocolError):
            pass  # those who wait are told below
        finally:
            self.broken = True
            for number in tuple(self._waiting):
                self._failed(number, "the connection was closed")
            self._writer.transport.abort()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class _Frames(_Line):
    """DNS over TLS: messages behind their length, told apart by their ids."""

    def _number(self) -> int:
        while (number := secrets.randbelow(0x10000)) in self._waiting:
            pass
        return number

    def _send(self, number: int, query: Query) -> int:
        asked = codec.ask(query, number)
        self._writer.write(len(asked).to_bytes(2) + asked)
        return number

    async def _read(self) -> None:
        data = await _framed(self._reader)
        self._came(int.from_bytes(data[:2]), data)


class _Http2(_Line):
    """DNS over HTTPS: a stream each, by POST, with id 0 (RFC 8484 4.1)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        self._host, self._path = server.name or server.address, server.path
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._h2.initiate_connection()
        writer.write(self._h2.data_to_send())
        self._bodies: dict[int, bytes] = {}
        super().__init__(reader, writer)

    def _number(self) -> int:
        return self._h2.get_next_available_stream_id()

    def _send(self, number: int, query: Query) -> int:
        asked = codec.ask(query, 0)
        self._h2.send_headers(
            number,
            [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", self._host),
                (":path", self._path),
                ("accept", "application/dns-message"),
                ("content-type", "application/dns-message"),
                ("content-length", str(len(asked))),
            ],
        )
        self._h2.send_data(number, asked, end_stream=True)
        self._writer.write(self._h2.data_to_send())
        return 0

    async def _read(self) -> None:
        data = await self._reader.read(LARGEST)
        if not data:
            raise EOFError
        for event in self._h2.receive_data(data):
            self._take(event)
        self._writer.write(self._h2.data_to_send())

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                status = dict(event.headers or ()).get(b":status")
                if status == b"200":
                    self._bodies[event.stream_id] = b""
                else:
                    self._failed(event.stream_id, f"status {status!r}")
            case h2.events.DataReceived():
                self._add(event)
            case h2.events.StreamEnded():
                self._came(event.stream_id, self._bodies.pop(event.stream_id, b""))
            case h2.events.StreamReset():
                self._bodies.pop(event.stream_id, None)
                self._failed(event.stream_id, "the stream was reset")
            case h2.events.ConnectionTerminated():
                raise EOFError
            case _:
                pass

    def _add(self, event: h2.events.DataReceived) -> None:
        if event.flow_controlled_length:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if event.stream_id in self._bodies:
            self._bodies[event.stream_id] += event.data or b""
            if len(self._bodies[event.stream_id]) > LARGEST:
                raise EOFError


class _Http1(_Line):
    """DNS over HTTPS with a server that has no HTTP/2: one question after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        self._host, self._path = server.name or server.address, server.path
        self._turn = asyncio.Lock()
        super().__init__(reader, writer)

    async def ask(self, query: Query) -> Answer | None:
        async with self._turn:
            try:
                return await super().ask(query)
            except asyncio.CancelledError:
                self.broken = True  # its answer is still to come, and would be taken for the next one's
                self._writer.transport.abort()
                raise

    def _number(self) -> int:
        return 0

    def _send(self, number: int, query: Query) -> int:
        asked = codec.ask(query, 0)
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: application/dns-message\r\n"
            f"Content-Type: application/dns-message\r\nContent-Length: {len(asked)}\r\n\r\n"
        )
        self._writer.write(head.encode("ascii") + asked)
        return number

    async def _read(self) -> None:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(":", 1) for line in head[1:] if ":" in line)
        length = int(fields.get("content-length", "-1"))
        if not 0 <= length <= LARGEST:  # chunked: no server of DNS messages needs that
            raise ValueError("an answer of unknown length")
        data = await self._reader.readexactly(length)
        if head[0].split(" ")[1:2] == ["200"]:
            self._came(0, data)
        else:
            self._failed(0, head[0])
