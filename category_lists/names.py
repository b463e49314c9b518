"""Names as strangers write them, turned into the one form that everything else compares.

Two spellings that reach the same site must become the same text here, or a filter has a hole:
`HTTP://Example.COM.:80/%61` is `example.com/a`, `0x7f.1` is `127.0.0.1`. The rules are those that browsers follow
(WHATWG URL, and UTS #46 without its optional checks, so that emoji names and `r3---sn-x` keep working), because what
matters is the name that the browser will ask for.

INVARIANT: a canonical value is a fixed point, and no text whatever raises anything but `NameRefused`.
This module is pure; `canonical_host` stands on the hottest path of the product.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

import idna

LONGEST_NAME = 253  # characters of a name without its trailing dot: RFC 1035 2.3.4, less the length octets
LONGEST_LABEL = 63
_LONGEST_SPELLING = 4096  # characters; a longer spelling is an attack on the slow path, not a name

# A plain name whose last label cannot be read as a number (so it is no address). Hyphens and underscores may stand
# anywhere: DNS carries such names (`_dns.resolver.arpa`, `-.example.com`), so a filter must have words for them.
_PLAIN = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z_-][a-z0-9_-]{0,62}").fullmatch
_LABELS = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*").fullmatch
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*").fullmatch  # WHATWG: a name that ends in one is an IPv4 address or wrong
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)*/?").fullmatch
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(/*)", re.IGNORECASE).match
_PORT = re.compile(r"[0-9]{0,5}").fullmatch
_TO_MEND = re.compile(r"%(?:([0-9A-Fa-f]{2}))?|[^A-Za-z0-9._~!$&'()*+,;=:@/-]")  # RFC 3986 3.3: not a pchar
_WEB = frozenset(("http", "https", "ws", "wss", "ftp"))
_EDGES = "".join(map(chr, range(0x21)))  # what browsers strip from both ends of an address
_UNSEEN = str.maketrans("", "", "\t\n\r")  # what browsers drop from the middle of one

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")  # RFC 3986 2.3

_SHARED = """
ac.uk co.uk gov.uk ltd.uk me.uk net.uk nhs.uk org.uk plc.uk police.uk sch.uk uk.com uk.net
gov.scot gov.wales llyw.cymru co.im gov.im co.gg co.je gov.ie eu.com us.com de.com
com.au edu.au gov.au net.au org.au co.nz ac.nz govt.nz org.nz school.nz co.za org.za com.br com.cn edu.cn gov.cn
co.in ac.in gov.in co.jp ac.jp ne.jp or.jp co.kr or.kr com.mx com.sg edu.sg com.hk edu.hk com.tr com.tw com.ua com.pl
co.il com.ar com.my com.pk com.ng
amazonaws.com appspot.com azurestaticapps.net azurewebsites.net blogspot.co.uk blogspot.com cloudfront.net
codeberg.page firebaseapp.com fly.dev github.io gitlab.io glitch.me herokuapp.com myshopify.com netlify.app ngrok.io
notion.site onrender.com pages.dev readthedocs.io repl.co replit.app s3.amazonaws.com surge.sh translate.goog vercel.app
web.app wixsite.com wordpress.com workers.dev
"""
# Names under which strangers register their own: one entry would take thousands of unrelated sites away. Every single
# label (a whole top level) is refused without standing here. Hand-written and short on purpose: those that matter to a
# British school. The full public suffix list arrives with the feeds.
SHARED_SUFFIXES: frozenset[str] = frozenset(_SHARED.split())


class NameRefused(ValueError):
    """Raised for text that is no name, address or web address: a plain sentence with the text shown safely."""


def shown(text: str, limit: int = 80) -> str:
    """What a stranger wrote, safe for a log line or a page: ASCII, escaped, quoted, about `limit` long at most."""
    plain = ascii(text[:limit])
    if len(plain) > limit:
        return plain[: limit - 2] + "…'"
    return plain if len(text) <= limit else plain[:-1] + "…'"


# --- hosts ---------------------------------------------------------------------------------------------------------


def canonical_host(text: str) -> str:
    """Turn a name or address in any spelling into its one form: lower-case A-labels, dotted quad, or RFC 5952 text.

    Raises NameRefused for what is none of these. A name that is already canonical costs about half a microsecond.
    """
    if _PLAIN(text) and len(text) <= LONGEST_NAME and "xn--" not in text:
        return text
    return _canonical_slowly(text)


def _canonical_slowly(text: str) -> str:
    if not text or len(text) > _LONGEST_SPELLING:
        raise NameRefused(f"A name must have 1 to {LONGEST_NAME} characters: {shown(text)}.")
    if text.startswith("[") or text.count(":") > 1:
        return _canonical_ipv6(text)
    name = _mapped(_unquoted(text), text).removesuffix(".")
    host = ".".join([_a_label(label, text) for label in name.split(".")])
    if len(host) > LONGEST_NAME:
        raise NameRefused(f"A name has at most {LONGEST_NAME} characters: {shown(text)}.")
    if not _LABELS(host):
        raise NameRefused(
            f"A name is made of letters, digits and hyphens, in parts of at most {LONGEST_LABEL}: {shown(text)}."
        )
    if _NUMBER(host.rpartition(".")[2]):
        return _canonical_ipv4(host, text)
    return host


def _mapped(text: str, whole: str) -> str:
    """UTS #46 mapping: lower case, full-width letters, ideographic dots; plain ASCII needs only lower case."""
    if text.isascii():
        return text.lower()
    try:
        return idna.uts46_remap(text, std3_rules=False, transitional=False)
    except (idna.IDNAError, ValueError) as error:
        raise NameRefused(f"This is not a name that a browser could look up: {shown(whole)}.") from error


def _a_label(label: str, whole: str) -> str:
    """One part of a name as DNS carries it. `xn--` parts must say what they would say if they were made afresh."""
    try:
        if not label.isascii():
            return "xn--" + label.encode("punycode").decode("ascii")
        if label.startswith("xn--"):
            spoken = label[4:].encode("ascii").decode("punycode")
            same = _mapped(spoken, whole) == spoken and "." not in spoken
            if spoken.isascii() or not same or "xn--" + spoken.encode("punycode").decode("ascii") != label:
                raise NameRefused(f"This name has a part that is wrongly encoded (xn--): {shown(whole)}.")
    except (UnicodeError, OverflowError, IndexError) as error:
        raise NameRefused(f"This name has a part that is wrongly encoded: {shown(whole)}.") from error
    return label


def _canonical_ipv4(host: str, whole: str) -> str:
    """One to four numbers, decimal, octal (0) or hex (0x), the last filling what is left (inet_aton, WHATWG)."""
    parts = host.split(".")
    try:
        numbers = [_ipv4_number(part) for part in parts]
    except ValueError:
        numbers = []
    room = 256 ** (5 - len(numbers)) if 1 <= len(numbers) <= 4 else 0
    if not numbers or numbers[-1] >= room or any(number > 255 for number in numbers[:-1]):
        raise NameRefused(f"A name that ends in a number must be an IPv4 address, and this is none: {shown(whole)}.")
    value = numbers[-1] + sum(number << (8 * (3 - place)) for place, number in enumerate(numbers[:-1]))
    return str(ipaddress.IPv4Address(value))


def _ipv4_number(part: str) -> int:
    if not _NUMBER(part):  # int() alone would also take `1_0` and `0o7`
        raise ValueError(part)
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if part.startswith("0") and len(part) > 1 else int(part)


def _canonical_ipv6(text: str) -> str:
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if "%" in inner:
        raise NameRefused(f"An address with a zone (%) names one network card, not a site: {shown(text)}.")
    try:
        address = ipaddress.IPv6Address(inner)
    except ValueError as error:
        raise NameRefused(f"This is not an IPv6 address: {shown(text)}.") from error
    return str(address.ipv4_mapped or address.compressed)


def _unquoted(text: str) -> str:
    """Percent-decode a host once, as browsers do."""
    if "%" not in text:
        return text
    try:
        plain = text.encode()
        return re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), plain).decode()
    except UnicodeError as error:
        raise NameRefused(f"This name is not text once its % signs are read: {shown(text)}.") from error


def is_address(host: str) -> bool:
    """Say whether a canonical host is an IP address (no canonical name ends in an all-digit part)."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def parents(host: str) -> Iterator[str]:
    """Give a canonical host itself, then each name above it up to the top level; an address has none above it."""
    yield host
    if is_address(host):
        return
    while dot := host.find(".") + 1:
        host = host[dot:]
        yield host


def too_wide(host: str) -> str | None:
    """Why an entry for this canonical host would take too much away, as the end of a sentence; None if it would not."""
    if is_address(host):
        return None
    if "." not in host:
        return "it is a whole top-level domain"
    if host in SHARED_SUFFIXES:
        return "it is shared by many unrelated sites"
    return None


# --- sites and paths -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Site:
    """What was asked for. `path` is None when only a name was given; `query` has no question mark."""

    host: str
    path: str | None
    query: str

    def __str__(self) -> str:
        return self.host + (self.path or "")


def canonical_site(text: str) -> Site:
    """Read a name, `host:port`, or a web address with all that may stand in one; backslashes are slashes.

    Raises NameRefused. Scheme, userinfo, port and fragment are dropped: they do not change what site it is.
    """
    if _PLAIN(text) and len(text) <= LONGEST_NAME and "xn--" not in text:
        return Site(text, None, "")  # a name in its one form, as a batch or a log mostly has them
    rest = text.strip(_EDGES).translate(_UNSEEN).partition("#")[0]
    rest, asked, query = rest.partition("?")
    rest = rest.replace("\\", "/")
    scheme = _SCHEME(rest)
    if scheme and scheme[1].lower() in _WEB:
        rest = rest[scheme.end() :]
    elif scheme and len(scheme[2]) >= 2:
        raise NameRefused(f"Only web addresses (http, https) name a site: {shown(text)}.")
    elif rest.startswith("//"):
        rest = rest.lstrip("/")
    authority, slash, path = rest.partition("/")
    host = _without_port(authority.rpartition("@")[2], text)
    given = slash + path or ("/" if asked else None)
    return Site(canonical_host(host), None if given is None else canonical_path(given), query)


def _without_port(authority: str, whole: str) -> str:
    if authority.startswith("["):
        host, bracket, port = authority.partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise NameRefused(f"The brackets of this address do not match: {shown(whole)}.")
        host, port = host + bracket, port[1:]
    elif authority.count(":") == 1:
        host, _, port = authority.partition(":")
    else:
        return authority  # no port, or an IPv6 address without brackets
    if not _PORT(port) or int(port or "0") > 65535:
        raise NameRefused(f"A port is a number up to 65535: {shown(whole)}.")
    return host


def canonical_path(path: str) -> str:
    """Normalise slashes, percent-encoding (RFC 3986 6.2.2) and dot segments; what follows `?` or `#` is dropped."""
    if path.startswith("/") and _PLAIN_PATH(path):
        return path
    path = path.partition("#")[0].partition("?")[0].replace("\\", "/")
    path = _TO_MEND.sub(_mended, path)
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    closing = "/" if kept and segments[-1] in ("", ".", "..") else ""
    return "/" + "/".join(kept) + closing


def _mended(found: re.Match[str]) -> str:
    if found[1] is None:  # a character that must not stand bare, or a % that introduces nothing
        return "".join([f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass")])
    char = chr(int(found[1], 16))
    return char if char in _UNRESERVED else found[0].upper()


def path_covers(prefix: str, path: str) -> bool:
    """Say whether a canonical path lies under a prefix, by whole segments: `/a` covers `/a/` and `/a/b`, not `/ab`.

    An empty prefix and `/` cover everything; a closing slash of the prefix makes no difference.
    """
    prefix = prefix.rstrip("/")
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")
