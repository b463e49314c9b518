"""The sealed list of illegal content: what nobody may open, and nobody may read out of this machine either.

The theory. A licensed bundle (the IWF's address list, the police-assessed terrorist list) is read once. Of each entry only a
keyed hash is kept, HMAC-SHA256 under a key of this installation, cut to 16 bytes; the set of hashes is encrypted with
AES-GCM under a second key, and named by the digest of the file, which the policy names in turn. So the file without the key
says nothing, two installations' files cannot be compared, and whoever holds both can only do what any pupil could: ask for
one address after another. The pages that would make asking easy give one constant answer and count how often they give it.

An entry is a site with what is below it, or a page with what is below that. A page whose meaning lies behind the question
mark covers the page without it, because the filter decides on paths; a whole site is never taken for one page of it.

Each bundle holds a canary, an address that exists nowhere and is refused like the rest: when it is not, the list does not
work, and that is an alarm. A bundle that was not renewed for a week is another.
"""

import hmac
import json
import os
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from category_lists.aside import Aside
from category_lists.names import NameRefused, canonical_site, is_address, parents
from category_lists.suffixes import too_wide

STALE_DAYS: Final = 7
_MAGIC: Final = b"SGSEALED1\n"
_MAC: Final = 16  # bytes of a hash: no two of a million entries meet
_SITE, _PAGE, _HAS_PAGES = b"s", b"p", b"w"
_DEEPEST = 24  # segments of a path that are looked at
_REMEMBERED = 1 << 15
_CANARY_UNDER = "canary.schoolgate.internal"
_HEADER = re.compile(r"#\s*(issuer|issued)\s*:\s*(.+)").fullmatch


class CannotOpen(ValueError):
    """The sealed file, or its key, is missing, damaged or not the one that the policy names."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What may be told of a sealed list."""

    digest: str
    issuer: str
    issued: str  # a date
    entries: int

    def days_old(self, today: date) -> int:
        return max(0, (today - date.fromisoformat(self.issued)).days)

    def stale(self, today: date) -> bool:
        return self.days_old(today) > STALE_DAYS


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed list, open for the one question. It cannot be listed and does not say which entry it was."""

    bundle: Bundle
    canary: str
    _key: bytes = field(repr=False)
    _macs: frozenset[bytes] = field(repr=False)
    _seen: dict[str, tuple[bool, tuple[str, ...]]] = field(default_factory=dict, repr=False, compare=False)

    def covers(self, host: str, path: str | None = None) -> bool:
        """Is this address refused? Takes a canonical host and path."""
        whole, with_pages = self._host(host)
        if whole or not with_pages or path is None:
            return whole
        prefixes = list(_prefixes(path))
        return any(self._holds(_PAGE, name + prefix) for name in with_pages for prefix in prefixes)

    def watches(self, host: str) -> bool:
        """Are there pages of this host that only someone who sees paths can refuse?"""
        whole, with_pages = self._host(host)
        return not whole and bool(with_pages)

    def works(self) -> bool:
        """Is the canary refused?"""
        return self.covers(self.canary, "/") and not self.covers(f"not-{self.canary}", "/")

    def _host(self, host: str) -> tuple[bool, tuple[str, ...]]:
        known = self._seen.get(host)
        if known is None:
            names = list(parents(host))
            whole = any(self._holds(_SITE, name) for name in names)
            known = whole, tuple(name for name in names if self._holds(_HAS_PAGES, name))
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[host] = known
        return known

    def _holds(self, kind: bytes, text: str) -> bool:
        return _mac(self._key, kind, text) in self._macs


def _mac(key: bytes, kind: bytes, text: str) -> bytes:
    return hmac.digest(key, kind + text.encode(), "sha256")[:_MAC]


def _prefixes(path: str) -> Iterator[str]:
    end = 0
    for _ in range(_DEEPEST):
        end = path.find("/", end + 1)
        if end < 0:
            yield path
            return
        yield path[:end]


def _keys(secret: bytes) -> tuple[bytes, bytes]:
    """For the hashes and for the encryption, so that neither says anything of the other."""
    return tuple(hmac.digest(secret, f"schoolgate sealed {use}".encode(), "sha256") for use in ("match", "store"))  # type: ignore[return-value]


# --- taking a bundle in -----------------------------------------------------------------------------------------------


def seal(source: Path, folder: Path, key_file: Path, *, issuer: str = "", issued: str = "") -> tuple[Bundle, int]:
    """Read a bundle (an address or name a line; `# issuer:` and `# issued:` in comments) and keep it sealed.

    Returns what may be told of it, and how many lines could not be taken. ValueError in a plain sentence otherwise. Nothing
    of an entry is ever shown, not even of one that is refused.
    """
    told = {"issuer": issuer, "issued": issued}
    try:
        lines = source.read_bytes().decode("utf-8-sig", "replace").splitlines()
    except OSError as error:
        raise ValueError(f"the bundle cannot be read: {error.strerror or error}") from error
    for line in lines:
        if (found := _HEADER(line.strip())) and not told[found[1]]:
            told[found[1]] = found[2].strip()
    if not told["issuer"] or len(told["issuer"]) > 80 or not told["issuer"].isprintable():
        raise ValueError("say who issued the bundle: a line `# issuer: NAME` in it, or --issuer")
    try:
        day = date.fromisoformat(told["issued"][:10]).isoformat()
    except ValueError:
        raise ValueError("say when the bundle was issued: a line `# issued: 2026-11-21` in it, or --issued") from None
    match_key, store_key = _keys(secret(key_file))
    canary = f"{secrets.token_hex(12)}.{_CANARY_UNDER}"
    macs, taken, refused = _hashed(lines, match_key)
    if not taken:
        raise ValueError("the bundle holds no address that could be taken")
    macs.add(_mac(match_key, _SITE, canary))
    head = {"issuer": told["issuer"], "issued": day, "entries": taken, "canary": canary}
    plain = json.dumps(head).encode() + b"\n" + b"".join(sorted(macs))
    nonce = os.urandom(12)
    data = _MAGIC + nonce + AESGCM(store_key).encrypt(nonce, plain, _MAGIC)
    digest = sha256(data).hexdigest()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with Aside(folder) as file:
        file.write(data)
        file.keep(place(folder, digest))
    return Bundle(digest, told["issuer"], day, taken), refused


def _hashed(lines: Iterable[str], key: bytes) -> tuple[set[bytes], int, int]:
    macs: set[bytes] = set()
    taken = refused = 0
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            site = canonical_site(text.removeprefix("*."))
        except NameRefused:
            refused += 1
            continue
        path = (site.path or "").rstrip("/")
        if not path and (site.query or (not is_address(site.host) and too_wide(site.host))):
            refused += 1  # the page that a question leads to is not the site, and strangers' sites are not the page
            continue
        taken += 1
        if path:
            macs.add(_mac(key, _PAGE, site.host + path))
            macs.add(_mac(key, _HAS_PAGES, site.host))
        else:
            macs.add(_mac(key, _SITE, site.host))
    return macs, taken, refused


# --- opening it -------------------------------------------------------------------------------------------------------


def load(folder: Path, key_file: Path, digest: str) -> Sealed:
    """Open the sealed list that a policy names. CannotOpen when it is not exactly that, or its canary is not refused."""
    try:
        data = place(folder, digest).read_bytes()
        match_key, store_key = _keys(b64decode(key_file.read_text("ascii").strip(), validate=True))
    except (OSError, ValueError) as error:
        raise CannotOpen("the sealed list or its key cannot be read") from error
    if sha256(data).hexdigest() != digest or not data.startswith(_MAGIC):
        raise CannotOpen("the sealed list is not the one that was signed")
    nonce, closed = data[len(_MAGIC) : len(_MAGIC) + 12], data[len(_MAGIC) + 12 :]
    try:
        plain = AESGCM(store_key).decrypt(nonce, closed, _MAGIC)
        head, _, rest = plain.partition(b"\n")
        said = json.loads(head)
        bundle = Bundle(digest, str(said["issuer"]), str(said["issued"]), int(said["entries"]))
        canary = str(said["canary"])
    except (InvalidTag, ValueError, KeyError, TypeError) as error:
        raise CannotOpen("the sealed list cannot be opened with this machine's key") from error
    found = Sealed(bundle, canary, match_key, frozenset(rest[at : at + _MAC] for at in range(0, len(rest), _MAC)))
    if not found.works():
        raise CannotOpen("the sealed list does not refuse its own canary")
    return found


def place(folder: Path, digest: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise CannotOpen("a sealed list is named by 64 hex digits")
    return folder / f"{digest}.sealed"


def secret(key_file: Path) -> bytes:
    """This installation's secret, made at first use and readable by its owner alone."""
    if not key_file.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(b64encode(os.urandom(32)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
    return b64decode(key_file.read_text("ascii").strip(), validate=True)
