"""A mail server and a web server of our own on loopback, which take what the desk sends and remember it."""

import base64
import contextlib
import email
import json
import socket
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, with its key, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


class _Conversation(socketserver.StreamRequestHandler):
    """SMTP with STARTTLS and AUTH PLAIN, as far as a client of ours needs it."""

    def handle(self) -> None:
        server: Mailbox = self.server.mailbox
        if server.busy:
            self._say("421 come back later")
            return
        secure = signed_in = False
        to: list[str] = []
        self._say("220 test")
        while line := self.rfile.readline().decode("utf-8", "replace").rstrip("\r\n"):
            word = line.upper()
            if word.startswith("EHLO"):
                offers = [
                    "250-test",
                    *([] if secure else ["250-STARTTLS"]),
                    *(["250-AUTH PLAIN"] if secure else []),
                    "250 8BITMIME",
                ]
                self._say(*offers)
            elif word == "STARTTLS":
                self._say("220 go on")
                self.request = server.tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
                try:
                    self.request.do_handshake()
                except OSError:  # a client that does not trust us
                    return
                self.rfile.close()
                self.wfile.close()
                self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
                secure = True
            elif word.startswith("AUTH PLAIN"):
                given = base64.b64decode(line.split()[2]).decode().split("\0")[1:]
                signed_in = given == list(server.login)
                self._say("235 welcome" if signed_in else "535 wrong password")
            elif word.startswith("MAIL"):
                self._say("250 fine" if signed_in else "530 sign in first")
            elif word.startswith("RCPT"):
                address = line.partition("<")[2].partition(">")[0]
                code = server.refuses.get(address, 250)
                self._say(f"{code} as told")
                if code == 250:
                    to.append(address)
            elif word == "DATA":
                self._say("354 go on")
                lines = []
                while (one := self.rfile.readline()) not in {b".\r\n", b""}:
                    lines.append(one.removeprefix(b".") if one.startswith(b"..") else one)
                with server.changed:
                    server.got.append((tuple(to), email.message_from_bytes(b"".join(lines), policy=default)))
                    server.changed.notify_all()
                to = []
                self._say("250 taken")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                to = []
                self._say("250 fine")

    def finish(self) -> None:
        for one in (self.wfile, self.rfile, self.request):
            with contextlib.suppress(OSError):
                one.close()

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@dataclass
class Mailbox:
    """A mail server: what it got, whom it refuses, whether it turns everyone away."""

    pem: Path
    login: tuple[str, str] = ("filter", "pass word")
    refuses: dict[str, int] = field(default_factory=dict)
    busy: bool = False
    got: list[tuple[tuple[str, ...], Message]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.pem)
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Conversation, bind_and_activate=False)
        self._server.allow_reuse_address = self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.server_bind()
        self._server.server_activate()
        self._server.mailbox = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def wait(self, count: int, seconds: float = 30) -> list[tuple[tuple[str, ...], Message]]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, seconds), f"{len(self.got)} of {count} messages"
            return list(self.got)

    def to(self, address: str) -> list[Message]:
        return [message for to, message in self.got if address in to]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Receiver:
    """A web server that takes webhooks."""

    status: int = 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        mine = self

        class Taking(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                mine.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(mine.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
        self._server.daemon_threads, self._server.block_on_close = True, False
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook?from=school"

    @property
    def said(self) -> list[dict]:
        return [json.loads(body) for _, body in self.got]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class SyslogServer:
    """A syslog server over TCP, TLS where it has a certificate: what it got, and whether it is there."""

    def __init__(self, pem: Path | None = None, port: int = 0) -> None:
        self.got: list[str] = []
        self.changed = threading.Condition()
        self._tls = None
        if pem:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(pem)
        self._open: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                taken, _ = self._socket.accept()
                threading.Thread(target=self._take, args=(taken,), daemon=True).start()

    def _take(self, taken: socket.socket) -> None:
        with contextlib.suppress(OSError):
            taken = self._tls.wrap_socket(taken, server_side=True) if self._tls else taken
            self._open.append(taken)
            with taken.makefile("rb") as read:
                self._read(read)
        taken.close()

    def _read(self, read) -> None:
        while length := b"".join(iter(lambda: read.read(1).strip(), b"")):  # RFC 6587: its length, a space, the message
            said = read.read(int(length)).decode()
            with self.changed:
                self.got.append(said)
                self.changed.notify_all()

    def wait(self, count: int) -> list[str]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, 20), self.got
        return self.got

    def close(self) -> None:
        for one in (self._socket, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
