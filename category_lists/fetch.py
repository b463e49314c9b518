"""Fetching feeds: the only way out to the network from here.

One file at a time, into a folder of its own. What is kept there is always a whole file that passed its checks; what is on its
way lies beside it as `.partial`, with the ETag it belongs to, so that a broken transfer goes on where it stopped and never
mixes two versions. TLS only, with the certificate checked; `file:` for what a person brings; plain http to this machine only,
and only where whoever built the fetcher said so. Sizes, times and redirects are bounded: a feed's server is a stranger.
"""

import hashlib
import http.client
import ipaddress
import json
import os
import shutil
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

from category_lists import minisign
from category_lists.aside import Aside
from category_lists.catalogue import Feed
from category_lists.names import shown

AGENT: Final = "schoolgate"
LARGEST: Final = 512 << 20  # bytes as sent; the largest feed packed is a tenth of it
LONGEST_S: Final = 1800.0  # for one file
QUIET_S: Final = 30.0  # without a byte
MOST_REDIRECTS: Final = 5
_PIECE = 1 << 16
_SMALL = 64 << 10  # a checksum or a signature

type Progress = Callable[[int, int], None]  # bytes so far, bytes in all (0: not said)


class FetchFailed(ValueError):
    """Nothing was fetched, with the reason in a plain half-sentence; what was there before is still there."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The file of a feed as it now lies here."""

    path: Path
    sha256: str
    size: int
    unchanged: bool  # the server, or the content, says it is what we had


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of the file that is here: by which marks to ask for a newer one."""

    address: str = ""
    etag: str = ""
    modified: str = ""
    sha256: str = ""
    size: int = 0

    @classmethod
    def load(cls, path: Path) -> "Remembered":
        try:
            found = json.loads(path.read_text("utf-8"))
            return cls(
                str(found["address"]), str(found["etag"]), str(found["modified"]), str(found["sha256"]), int(found["size"])
            )
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        fields = {name: getattr(self, name) for name in ("address", "etag", "modified", "sha256", "size")}
        with Aside(path.parent) as file:
            file.write(json.dumps(fields).encode())
            file.keep(path)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches into `folder/<feed id>/`. `context` checks certificates; tests hand in their own."""

    folder: Path
    plain_loopback: bool = False
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    largest: int = LARGEST
    longest_s: float = LONGEST_S
    quiet_s: float = QUIET_S
    clock: Callable[[], float] = time.monotonic

    def fetch(self, feed: Feed, progress: Progress | None = None) -> Fetched:
        """The feed's newest file, checked. FetchFailed, and the last good file stays."""
        home = self.folder / feed.id
        try:
            home.mkdir(parents=True, exist_ok=True)
            return self._fetch(feed, home, progress)
        except FetchFailed:
            raise
        except ssl.SSLCertVerificationError as error:
            raise FetchFailed(f"the server's certificate is not good: {error.verify_message}") from error
        except TimeoutError as error:
            raise FetchFailed("the server did not answer in time") from error
        except http.client.HTTPException as error:
            raise FetchFailed(f"the server's answer makes no sense ({type(error).__name__})") from error
        except OSError as error:
            raise FetchFailed(f"it cannot be fetched: {error.strerror or error}") from error

    def _fetch(self, feed: Feed, home: Path, progress: Progress | None) -> Fetched:
        good, memory = home / "file", Remembered.load(home / "memory.json")
        if not good.is_file() or memory.address != feed.address:
            memory = Remembered()
        partial = home / "file.partial"
        deadline = self.clock() + self.longest_s
        local = urlsplit(feed.address).scheme == "file"
        answer = self._copy(feed.address, partial) if local else self._get(feed.address, partial, memory, deadline, progress)
        if answer is None:
            return Fetched(good, memory.sha256, memory.size, unchanged=True)
        with partial.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        try:
            self._check(feed, partial, digest, deadline)
        except ValueError:
            _forget(partial)  # what failed its check is not gone on with
            raise
        size = partial.stat().st_size
        unchanged = good.is_file() and digest == memory.sha256
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(good)
        _forget(partial)
        Remembered(feed.address, answer.get("etag", ""), answer.get("last-modified", ""), digest, size).save(
            home / "memory.json"
        )
        return Fetched(good, digest, size, unchanged)

    def _check(self, feed: Feed, path: Path, digest: str, deadline: float) -> None:
        if feed.checksum:
            said = self._small(feed.checksum, deadline).split()
            if not said or said[0].lower() != digest:
                raise FetchFailed("it does not have the SHA-256 that its maker publishes")
        if feed.signature:
            try:
                minisign.verify_file(path, self._small(feed.signature, deadline), feed.key)
            except minisign.BadSignature as error:
                raise FetchFailed(str(error)) from error

    def _small(self, address: str, deadline: float) -> str:
        """A checksum or signature."""
        if urlsplit(address).scheme == "file":
            data = _local(address).read_bytes()[: _SMALL + 1]
        else:
            connection, answer = self._asked(address, {}, deadline)
            try:
                if answer.status != http.client.OK:
                    raise FetchFailed(f"its checksum or signature cannot be had: the server says {answer.status}")
                data = answer.read(_SMALL + 1)
            finally:
                connection.close()
        if len(data) > _SMALL:
            raise FetchFailed("its checksum or signature is far too long")
        return data.decode("utf-8", "replace")

    def _copy(self, address: str, partial: Path) -> Mapping[str, str] | None:
        source = _local(address)
        if source.stat().st_size > self.largest:
            raise FetchFailed(f"it is larger than {self.largest >> 20} MiB")
        _forget(partial)
        shutil.copyfile(source, partial)
        return {}

    def _get(
        self, address: str, partial: Path, memory: Remembered, deadline: float, progress: Progress | None
    ) -> Mapping[str, str] | None:
        """Bring the file to `partial`; the answer's headers, None when nothing is new."""
        marks = partial.with_suffix(".marks")
        begun = Remembered.load(marks)
        have = partial.stat().st_size if partial.is_file() and begun.etag and begun.address == address else 0
        if have:
            headers = {"Range": f"bytes={have}-", "If-Range": begun.etag}
        else:
            headers = {"If-None-Match": memory.etag} if memory.etag else {}
            headers |= {"If-Modified-Since": memory.modified} if memory.modified else {}
        connection, answer = self._asked(address, headers, deadline)
        try:
            if answer.status == http.client.NOT_MODIFIED and not have and memory.sha256:
                return None
            if answer.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
                _forget(partial)
                raise FetchFailed("the transfer cannot go on where it stopped; it begins anew next time")
            on = answer.status == http.client.PARTIAL_CONTENT and bool(have)
            if on and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                _forget(partial)
                raise FetchFailed("the server sent another part than it was asked for")
            if not on and answer.status != http.client.OK:
                raise FetchFailed(f"the server says {answer.status} {shown(answer.reason or '', 40)}")
            found = {name.lower(): value for name, value in answer.headers.items()}
            if not on:
                _forget(partial)
                etag = found.get("etag", "")
                Remembered(address, "" if etag.startswith("W/") else etag).save(marks)  # a weak mark cannot be gone on with
            self._receive(answer, partial, have if on else 0, deadline, progress)
            return {"etag": begun.etag, **found} if on else found
        finally:
            connection.close()

    def _receive(
        self, answer: http.client.HTTPResponse, partial: Path, have: int, deadline: float, progress: Progress | None
    ) -> None:
        said = answer.headers.get("Content-Length", "")
        whole = have + int(said) if said.isdecimal() else 0
        if whole > self.largest:
            raise FetchFailed(f"it is larger than {self.largest >> 20} MiB")
        done = have
        with partial.open("ab" if have else "wb") as file:
            while piece := answer.read1(_PIECE):
                done += len(piece)
                if done > self.largest:
                    raise FetchFailed(f"it is larger than {self.largest >> 20} MiB")
                if self.clock() > deadline:
                    raise FetchFailed(f"it did not arrive within {self.longest_s:.0f} seconds; it goes on where it stopped")
                file.write(piece)
                if progress:
                    progress(done, whole)
        if whole and done < whole:
            raise FetchFailed("the transfer broke off; it goes on where it stopped")

    def _asked(
        self, address: str, headers: Mapping[str, str], deadline: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Ask, following redirects. They may not lead from TLS to anything else, nor to a file."""
        for _ in range(MOST_REDIRECTS + 1):
            if self.clock() > deadline:
                raise FetchFailed("the server did not answer in time")
            connection = self._connection(address)
            parts = urlsplit(address)
            try:
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("GET", path, headers={"User-Agent": AGENT, "Accept-Encoding": "identity", **headers})
                answer = connection.getresponse()
            except BaseException:
                connection.close()
                raise
            if answer.status not in (301, 302, 303, 307, 308):
                return connection, answer
            target = answer.headers.get("Location", "")
            connection.close()
            onward = urljoin(address, target)
            if not target or (parts.scheme == "https" and urlsplit(onward).scheme != "https"):
                raise FetchFailed("the server leads on to an address that is not https")
            address = onward
        raise FetchFailed(f"the server leads on more than {MOST_REDIRECTS} times")

    def _connection(self, address: str) -> http.client.HTTPConnection:
        parts = urlsplit(address)
        try:
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise FetchFailed("its address makes no sense") from None
        if parts.username or not host:
            raise FetchFailed("its address makes no sense")
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self.quiet_s, context=self.context)
        if parts.scheme == "http" and self.plain_loopback and _is_loopback(host):
            return http.client.HTTPConnection(host, port, timeout=self.quiet_s)
        raise FetchFailed("its address is not https")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _local(address: str) -> Path:
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost"):
        raise FetchFailed("a file address names a file of this machine")
    return Path(unquote(parts.path))


def _forget(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    partial.with_suffix(".marks").unlink(missing_ok=True)
