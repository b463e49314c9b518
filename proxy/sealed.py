"""A client's socket under TLS, of which we are the server. Watched as every socket of the front is (proxy/wires.py).

What comes in is not read on while its owner rests, and what cannot go out is kept, so a client that does not read is waited
for. A client that says that it has said all (close_notify) may still be answered; one that just stops talking was cut off.
"""

import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from proxy.wires import BROKEN, NOT_YET, READ, WRITE, Wires

PIECE = 65_536  # bytes that are read at once
MOST_WAITING = 1 << 17  # bytes that wait to be sent before their source is read no further
PROTOCOLS = ("h2", "http/1.1")
AGAIN = 0  # no event of the kernel's: what was read before is looked at again
log = logging.getLogger(__name__)


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    """OSError when the certificate cannot be used: then nothing listens."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_SINGLE_ECDH_USE
    made.set_alpn_protocols(list(PROTOCOLS))
    made.load_cert_chain(certificate, key)
    return made


class Owner(Protocol):
    """Whose socket it is."""

    def greeted(self, protocol: str | None) -> None:
        """The greeting is over; ALPN chose this."""

    def heard(self, data: bytes) -> None: ...

    def ended(self) -> None:
        """The client has said all it will."""

    def writable(self) -> None:
        """There is room again for more to send."""


class Sealed:
    """The socket. `gone` is called when nothing can be said or heard on it any more; closing it is its taker's."""

    def __init__(
        self, wires: Wires, sock: socket.socket, secure: ssl.SSLContext, owner: Owner, gone: Callable[[], None]
    ) -> None:
        """The socket is watched already, for reading."""
        self._wires, self._sock, self._fd, self._owner, self._gone = wires, sock, sock.fileno(), owner, gone
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = secure.wrap_bio(self._in, self._out, server_side=True)
        self._unsent = b""
        self._watched = READ
        self._greeted, self._wanted = False, True
        self._ended = False  # nothing more comes in
        self._closing = False  # and nothing more is sent once what waits is out
        self._over = False
        wires.pass_on(self._fd, self._happened)

    @property
    def full(self) -> bool:
        return len(self._unsent) > MOST_WAITING

    def send(self, data: bytes) -> None:
        if data and not self._over and not self._closing:
            self._tls.write(data)
            self._flush()

    def listen(self, *, wanted: bool) -> None:
        """Is more of the client wanted just now? What is here already and was not asked for then comes at once."""
        if wanted is self._wanted or self._over:
            return
        self._wanted = wanted
        self._watch()
        if wanted and (self._in.pending or self._tls.pending()):
            self._wires.loop.call_soon(self._happened, AGAIN)

    def finish(self) -> None:
        """Say that all is said, and then be gone."""
        if self._over or self._closing:
            return
        self._closing = True
        if self._greeted:
            with suppress(ssl.SSLError):  # the client's own goodbye is not here, and is not waited for
                self._tls.unwrap()
        self._flush()

    def over(self) -> None:
        """The socket is about to be closed."""
        self._over = True

    def take(self, data: bytes) -> None:
        """Bytes of the socket."""
        if self._over:
            return
        self._in.write(data)
        try:
            if not self._greeted:
                self._tls.do_handshake()
                self._greeted = True
                self._flush()
                self._owner.greeted(self._tls.selected_alpn_protocol())
            while self._wanted and not self._ended and not self._over:
                said = self._tls.read(PIECE)
                if not said:
                    raise ssl.SSLZeroReturnError
                self._owner.heard(said)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._ended = True
            self._watch()
            self._owner.ended()
        except ssl.SSLError as error:
            log.info("a client that wanted to come by TLS could not: %s", error.reason)
            self._flush()  # what is wrong, if it can be said
            self._gone_now()
            return
        if not self._over:
            self._flush()

    def _happened(self, what: int) -> None:
        try:
            if what & WRITE and self._unsent:
                self._send_on()
            if self._over:
                return
            if what == AGAIN:
                self.take(b"")
            elif self._watched & READ and what & (READ | BROKEN):
                self._read()
            elif what & BROKEN:
                self._gone_now()
        except BaseException:
            self._gone_now()
            raise

    def _read(self) -> None:
        try:
            data = self._sock.recv(PIECE)
        except NOT_YET:
            return
        except OSError:
            data = b""
        if data:
            self.take(data)
        else:  # without a goodbye
            self._gone_now()

    def _flush(self) -> None:
        if self._out.pending:
            self._unsent += self._out.read()
        if self._unsent and not self._watched & WRITE:
            self._send_on()
        elif self._closing and not self._unsent:
            self._gone_now()

    def _send_on(self) -> None:
        was_full = self.full
        try:
            self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except NOT_YET:
            pass
        except OSError:
            self._gone_now()
            return
        self._watch()
        if self._closing and not self._unsent:
            self._gone_now()
        elif was_full and not self.full:
            self._owner.writable()

    def _watch(self) -> None:
        what = (READ if self._wanted and not self._ended else 0) | (WRITE if self._unsent else 0)
        if what != self._watched and not self._over:
            self._watched = what
            self._wires.change(self._fd, what)

    def _gone_now(self) -> None:
        if not self._over:
            self._over = True
            self._gone()
