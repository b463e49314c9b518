"""A syslog server as the receiver of a stream: RFC 5424 over UDP, TCP (RFC 6587) or TLS (RFC 5425).

TCP says nothing of what arrived. So after writing we wait until the other end has acknowledged every byte, and before it we
look whether it has hung up: what was written into a connection that was dead already counts as not sent, and goes again.
"""

import contextlib
import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence

from monitoring.export import syslog
from monitoring.lines import Line

TIMEOUT_S = 20.0
PORTS = {"udp": 514, "tcp": 601, "tls": 6514}


class Syslog:
    """One server. The connection stays open between batches, and is made anew after trouble."""

    def __init__(self, how: str, host: str, port: int, *, ca: str = "", sender: str = "schoolgate") -> None:
        if how not in PORTS:
            raise ValueError(f"syslog goes by {', '.join(PORTS)}, not by {how!r}")
        self._how, self._where, self._ca, self._sender = how, (host, port), ca, sender
        self._socket: socket.socket | None = None

    def __call__(self, lines: Sequence[tuple[Line, str]]) -> None:
        self.send([syslog(line, code, self._sender) for line, code in lines])

    def send(self, messages: Sequence[str]) -> None:
        """Raises OSError where they were not taken."""
        written = [one.encode("utf-8", "replace") for one in messages]
        try:
            if self._socket is not None and self._hung_up(self._socket):
                self.close()
            if self._socket is None:
                self._socket = self._connected()
            if self._how == "udp":
                for one in written:
                    self._socket.send(one)
                return
            self._socket.sendall(b"".join(b"%d %b" % (len(one), one) for one in written))
            self._acknowledged(self._socket)
        except OSError as error:
            self.close()
            host, port = self._where
            raise OSError(f"the syslog server {host}:{port}: {why_not(error)}") from None

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._how == "udp":
            found = socket.getaddrinfo(*self._where, type=socket.SOCK_DGRAM)[0]
            made = socket.socket(found[0], found[1])
            made.connect(found[4])
            return made
        plain = socket.create_connection(self._where, TIMEOUT_S)
        if self._how == "tcp":
            return plain
        try:
            context = ssl.create_default_context(cafile=self._ca or None)
            return context.wrap_socket(plain, server_hostname=self._where[0])
        except BaseException:
            plain.close()
            raise

    def _hung_up(self, connected: socket.socket) -> bool:
        """A syslog server never speaks: what can be read is that it closed, or the tickets of TLS 1.3."""
        if self._how == "udp":
            return False
        connected.setblocking(False)
        try:
            while connected.recv(4096):
                pass
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        except OSError:
            return True
        else:
            return True
        finally:
            with contextlib.suppress(OSError):
                connected.settimeout(TIMEOUT_S)

    def _acknowledged(self, connected: socket.socket) -> None:
        """Wait until the other end's kernel has every byte."""
        end = time.monotonic() + TIMEOUT_S
        while struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]:
            if self._hung_up(connected):
                raise ConnectionResetError("it hung up")
            if time.monotonic() > end:
                raise TimeoutError(f"it took nothing for {TIMEOUT_S:.0f} seconds")
            select.select((), (), (), 0.005)


def why_not(error: OSError) -> str:
    """What a connection failed of, in words."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message})"
        case OSError(strerror=str(why)):
            return why
        case _:
            return str(error) or type(error).__name__
