"""Fetching, from a small server of our own on loopback that behaves as it is told."""

import hashlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from category_lists.catalogue import Feed
from category_lists.fetch import Fetcher, FetchFailed

DATA = b"".join(b"name%d.example\n" % number for number in range(5000))


@dataclass
class Server:
    port: int = 0
    data: bytes = DATA
    etag: str = '"one"'
    cut: int = 0  # bytes after which the connection breaks off
    redirect: str = ""
    status: int = 0
    length: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)

    def address(self, path: str = "/list.txt") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            told.asked.append({name.lower(): value for name, value in self.headers.items()} | {":path": self.path})
            if self.path.endswith(".sha256"):
                return self.reply(200, hashlib.sha256(told.data).hexdigest().encode() + b"  list.txt\n")
            if told.redirect:
                self.send_response(302)
                self.send_header("Location", told.redirect)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            if told.status:
                return self.reply(told.status, b"no")
            if self.headers.get("If-None-Match") == told.etag:
                self.send_response(304)
                return self.end_headers()
            start = 0
            found = self.headers.get("Range", "")
            if found and self.headers.get("If-Range") == told.etag:
                start = int(found.removeprefix("bytes=").removesuffix("-"))
            return self.reply(206 if start else 200, told.data[start:], start)

        def reply(self, status: int, data: bytes, start: int = 0) -> None:
            self.send_response(status)
            self.send_header("ETag", told.etag)
            self.send_header("Content-Length", told.length or str(len(data)))
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(told.data) - 1}/{len(told.data)}")
            self.end_headers()
            if told.cut and status in (200, 206) and len(data) > told.cut:
                self.wfile.write(data[: told.cut])
                self.close_connection = True
                return
            self.wfile.write(data)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    http.shutdown()
    thread.join()
    http.server_close()


def feed(address: str, **more: str) -> Feed:
    return Feed("mine", "Mine", address, "domains", "CC0", "us", "here", {"*": "games"}, **more)


def fetcher(tmp_path: Path, **more: object) -> Fetcher:
    return Fetcher(tmp_path / "feeds", plain_loopback=True, quiet_s=5, **more)


def left(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "feeds" / "mine").iterdir()}


def test_what_is_new_is_fetched_and_what_is_not_is_only_asked_for(server: Server, tmp_path: Path) -> None:
    first = fetcher(tmp_path).fetch(feed(server.address()))
    assert (first.path.read_bytes(), first.size, first.unchanged) == (DATA, len(DATA), False)
    again = fetcher(tmp_path).fetch(feed(server.address()))
    assert again.unchanged
    assert again.sha256 == first.sha256 == hashlib.sha256(DATA).hexdigest()
    assert server.asked[1]["if-none-match"] == '"one"'
    server.data, server.etag = DATA + b"more.example\n", '"two"'
    assert not fetcher(tmp_path).fetch(feed(server.address())).unchanged
    assert left(tmp_path) == {"file", "memory.json"}


def test_a_transfer_that_breaks_off_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cut = 40_000
    with pytest.raises(FetchFailed, match="goes on where it stopped"):
        fetcher(tmp_path).fetch(feed(server.address()))
    server.cut = 0
    found = fetcher(tmp_path).fetch(feed(server.address()))
    assert found.path.read_bytes() == DATA
    assert server.asked[1]["range"] == "bytes=40000-"
    assert server.asked[1]["if-range"] == '"one"'


def test_two_versions_are_never_mixed(server: Server, tmp_path: Path) -> None:
    server.cut = 40_000
    with pytest.raises(FetchFailed):
        fetcher(tmp_path).fetch(feed(server.address()))
    server.cut, server.data, server.etag = 0, b"other.example\n" * 9000, '"two"'
    assert fetcher(tmp_path).fetch(feed(server.address())).path.read_bytes() == server.data


def test_a_failure_leaves_the_last_good_file(server: Server, tmp_path: Path) -> None:
    good = fetcher(tmp_path).fetch(feed(server.address())).path
    server.data, server.etag = DATA[::-1], '"two"'
    for change, why in (
        ({"status": 500}, "says 500"),
        ({"status": 404}, "says 404"),
        ({"length": str(len(DATA) + 5)}, "broke off|in time"),
        ({"redirect": "https://127.0.0.1:1/x"}, "cannot be fetched|not https"),
        ({"redirect": "file:///etc/passwd"}, "no sense"),
        ({"redirect": "/list.txt"}, "leads on more than"),
        ({"redirect": "http://192.0.2.1/x"}, "not https"),
    ):
        before = replace(server)
        for name, value in change.items():
            setattr(server, name, value)
        with pytest.raises(FetchFailed, match=why):
            Fetcher(tmp_path / "feeds", plain_loopback=True, quiet_s=0.5, longest_s=3).fetch(feed(server.address()))
        for name in change:
            setattr(server, name, getattr(before, name))
        assert good.read_bytes() == DATA, change


def test_sizes_and_times_are_bounded(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="larger than"):
        fetcher(tmp_path, largest=1000).fetch(feed(server.address()))
    server.length = ""
    ticks = iter(range(0, 1_000_000, 100))
    with pytest.raises(FetchFailed, match=r"did not arrive|in time"):
        fetcher(tmp_path, longest_s=150, clock=lambda: float(next(ticks))).fetch(feed(server.address()))


def test_a_checksum_is_held_against_the_file(server: Server, tmp_path: Path) -> None:
    mine = feed(server.address(), checksum=server.address("/list.txt.sha256"))
    assert fetcher(tmp_path).fetch(mine).path.read_bytes() == DATA
    other = tmp_path / "wrong.sha256"
    other.write_text("0" * 64 + "  list.txt\n")
    server.etag = '"two"'
    with pytest.raises(FetchFailed, match="SHA-256"):
        fetcher(tmp_path).fetch(replace(mine, checksum=other.as_uri()))
    assert left(tmp_path) == {"file", "memory.json"}


def test_a_signature_is_held_against_the_file(tmp_path: Path) -> None:
    source, signed = tmp_path / "list.txt", tmp_path / "list.txt.minisig"
    source.write_bytes(DATA)
    signed.write_text("untrusted comment: x\nnonsense\ntrusted comment: y\nnonsense\n")
    mine = feed(source.as_uri(), signature=signed.as_uri(), key="RWQ" + "A" * 53)
    with pytest.raises(FetchFailed, match="signature"):
        fetcher(tmp_path).fetch(mine)


def test_a_file_that_a_person_brings(tmp_path: Path) -> None:
    source = tmp_path / "list.txt"
    source.write_bytes(DATA)
    assert not fetcher(tmp_path).fetch(feed(source.as_uri())).unchanged
    assert fetcher(tmp_path).fetch(feed(source.as_uri())).unchanged
    with pytest.raises(FetchFailed, match="cannot be fetched"):
        fetcher(tmp_path).fetch(feed((tmp_path / "none").as_uri()))
    with pytest.raises(FetchFailed, match="of this machine"):
        fetcher(tmp_path).fetch(feed("file://elsewhere/x"))


def test_nothing_but_tls_leaves_this_machine(server: Server, tmp_path: Path) -> None:
    for address in ("http://192.0.2.1/x", "http://localhost/x", "https://user:secret@lists.example/x", "https:///x"):
        with pytest.raises(FetchFailed, match=r"not https|no sense"):
            fetcher(tmp_path).fetch(feed(address))
    with pytest.raises(FetchFailed, match="not https"):
        Fetcher(tmp_path / "feeds").fetch(feed(server.address()))


def test_a_certificate_is_checked(server: Server, tmp_path: Path) -> None:
    assert Fetcher(tmp_path).context.verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(FetchFailed):
        fetcher(tmp_path).fetch(feed(f"https://127.0.0.1:{server.port}/x"))
