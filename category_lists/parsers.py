"""Lists as their makers publish them, read line by line into entries.

Lenient per line, strict in total: a line that we cannot honour exactly is refused with its reason and the rest goes on,
but nothing is guessed. A rule that blocks one page must not become one that blocks a site, so what carries options or
patterns that we do not have is refused rather than widened. Headers, comments and the localhost lines of hosts files
are no entries and no refusals. Pure: takes lines of bytes, opens nothing.
"""

import csv
import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from category_lists.names import NameRefused, canonical_host, canonical_site, is_address, shown
from category_lists.suffixes import too_wide

FORMATS: Final[tuple[str, ...]] = ("domains", "hosts", "adblock", "rpz", "dnsmasq", "ut1", "urls", "csv", "v2fly")
LONGEST_LINE: Final = 8192  # bytes; no honest entry comes near it
_SHOWN = 100  # characters of a refused line; its quotes and ellipsis stay below 120


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a list says.

    `host` is canonical and covers the names below it unless `exact`. `path` is "" for the whole site, else a canonical
    prefix without closing slash. An `exception` takes back what the same list says about that name and below.
    """

    host: str
    path: str = ""
    exact: bool = False
    exception: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was not taken: its number from 1, its text escaped and shortened, and why, as half a sentence."""

    line: int
    text: str
    why: str


@dataclass(slots=True)
class Report:
    """What became of a list's lines: counts, and the first few refused ones for a person to look at."""

    accepted: int = 0
    refused: int = 0
    exceptions: int = 0
    set_aside: int = 0  # entries that would have taken away what must stay open
    examples: list[Refused] = field(default_factory=list)
    aside_examples: list[Refused] = field(default_factory=list)

    def refuse(self, refused: Refused) -> None:
        self.refused += 1
        if len(self.examples) < KEPT_EXAMPLES:
            self.examples.append(refused)

    def put_aside(self, refused: Refused) -> None:
        self.set_aside += 1
        if len(self.aside_examples) < KEPT_EXAMPLES:
            self.aside_examples.append(refused)


KEPT_EXAMPLES: Final = 20


def collect(parsed: Iterable[Entry | Refused], report: Report) -> Iterator[Entry]:
    """Pass the entries on and count them in `report`, which is complete when the iterator is spent."""
    for item in parsed:
        if isinstance(item, Entry):
            report.accepted += 1
            report.exceptions += item.exception
            yield item
        else:
            report.refuse(item)


def check_format(format: str) -> None:  # noqa: A002
    """ValueError for a format that is not one of FORMATS."""
    if format not in _READERS:
        raise ValueError(f"There is no list format {shown(format)}; the formats are {', '.join(FORMATS)}.")


def parse(
    format: str,  # noqa: A002 - the word that users know
    lines: Iterable[bytes],
    allow_wide: Collection[str] = (),
    *,
    first: int = 1,
) -> Iterator[Entry | Refused]:
    """Read lines of a list in one of FORMATS. Raises ValueError for another format, and never for what a line holds.

    Entries for whole public suffixes are refused, but for those that a person named in `allow_wide`. `first` is the
    number of the first line.
    """
    check_format(format)
    return _parse(_READERS[format], lines, allow_wide, first)


# A reader gives, for one line without its end, entries and reasons for refusal; nothing at all for a comment.
type _Reading = Iterable["Entry | str"]


def _parse(
    reader: Callable[[str], _Reading], lines: Iterable[bytes], allow_wide: Collection[str], first: int
) -> Iterator[Entry | Refused]:
    for number, raw in enumerate(lines, start=first):
        if len(raw) > LONGEST_LINE:
            yield Refused(number, shown(raw[:200].decode("latin-1"), _SHOWN), f"it is longer than {LONGEST_LINE} bytes")
            continue
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            yield Refused(number, shown(raw.decode("latin-1"), _SHOWN), "it is not UTF-8 text")
            continue
        text = text.removeprefix("\ufeff").strip()
        if not text:
            continue
        for found in reader(text):
            why = found if isinstance(found, str) else _too_wide(found, allow_wide) or found
            yield Refused(number, shown(text, _SHOWN), why) if isinstance(why, str) else why


# --- what all formats share ---------------------------------------------------------------------------------------


def _site(name: str, path: str = "", *, exact: bool = False, exception: bool = False) -> Entry | str:
    """Make an entry of a name as a list writes it, or say why not."""
    # `*.x` covers x itself too: nobody runs a site on every name below x and leaves x fit for pupils.
    name = name.removeprefix("*.")
    try:
        host = canonical_host(name)
    except NameRefused:
        return "it holds no name or address"
    if is_address(host):
        if host != name.strip("[]").lower():
            return "an address in a list must be written in its usual form"  # `12345` is a slip, not 0.0.48.57
        if not ipaddress.ip_address(host).is_global:
            return "it is an address of no site on the internet"
    return Entry(host, path, exact, exception)


def _too_wide(entry: Entry, allowed: Collection[str]) -> str | None:
    """Why an entry covers too much. A page of a shared name is that page alone, and an exact entry covers no one else."""
    return None if (entry.path or entry.exact) and "." in entry.host else too_wide(entry.host, allowed)


def _url(text: str, *, exception: bool = False) -> Entry | str:
    try:
        site = canonical_site(text)
    except NameRefused:
        return "it holds no web address"
    if site.query:
        return "it depends on what follows the question mark, and without that it would cover too much"
    return _site(site.host, (site.path or "").rstrip("/"), exception=exception)


def _without_comment(text: str, mark: str = "#") -> str:
    return text.partition(mark)[0].rstrip() if mark in text else text


def _is_sink(address: str) -> bool | None:
    """Whether an address is one that lists point blocked names at; None when it is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return parsed.is_unspecified or parsed.is_loopback


# --- one reader a format ------------------------------------------------------------------------------------------


def _domains(text: str) -> _Reading:
    """One name a line; `*.name` and `.name` mean the same as `name`; `#`, `;`, `!` and `//` begin comments."""
    if text[0] in "#;!" or text.startswith("//"):
        return ()
    name = _without_comment(text)
    if "/" in name:
        return ("it is a web address; the format for those is urls",)
    if " " in name or "\t" in name:
        return ("it holds more than one word; if it begins with an address, the format is hosts",)
    return (_site(name.removeprefix(".")),)


def _ut1(text: str) -> _Reading:
    """UT1 folders hold `domains` (names) and `urls` (host/path without scheme); both may be read with this."""
    if text[0] == "#":
        return ()
    return (_url(text),) if "/" in text else (_site(text),)


def _urls(text: str) -> _Reading:
    """One web address a line, with or without scheme; a bare host means the whole site."""
    return () if text[0] in "#;!" else (_url(text),)


_MACHINE = """
localhost localhost.localdomain localhost4 localhost6 local broadcasthost 0.0.0.0
ip6-localhost ip6-loopback ip6-localnet ip6-mcastprefix ip6-allnodes ip6-allrouters ip6-allhosts
"""
_OF_THE_MACHINE = frozenset(_MACHINE.split())


def _hosts(text: str) -> _Reading:
    """`0.0.0.0 name name...`, or a name alone. A machine would match these names alone; their makers mean the site."""
    text = _without_comment(text)
    if not text:
        return
    address, *names = text.split()
    sink = _is_sink(address)
    if sink is None and not names and "." in address:  # projects lay plain lists beside their hosts files
        if address.lower() not in _OF_THE_MACHINE:
            yield _site(address)
        return
    if sink is None or not names:
        yield "it does not begin with an address that is followed by names"
        return
    for name in names:
        if name.lower() in _OF_THE_MACHINE:
            continue
        yield _site(name) if sink else "it gives a name a real address instead of blocking it"


_HOST_RULE = re.compile(r"(@@)?\|\|([^/^$|]+)(\^?)(/[^$]*)?\|?(?:\$(.*))?").fullmatch
_MEANS_ALWAYS = frozenset(("important", "all", "document", ""))  # options that do not narrow a rule for a whole site


def _adblock(text: str) -> _Reading:
    """`||name^`, `||name/path`, `@@||name^`. Other rules look inside pages or match patterns, as only a browser can."""
    if text[0] in "![" or text.startswith("# "):
        return ()
    found = _HOST_RULE(text)
    if not found:
        return ("only rules of the form ||name^ or ||name/path speak about whole sites",)
    exempt, name, fence, path, options = found.groups()
    narrowed = sorted(set((options or "").split(",")) - _MEANS_ALWAYS)
    if narrowed:
        return (f"it holds only under a condition ({shown(narrowed[0], 30)})",)
    if fence and path:
        return ("its ^ does not stand at the end",)
    if path is None:
        if not fence:
            return ("without ^ it would match longer names as well",)
        return (_site(name, exception=bool(exempt)),)
    path = path.removesuffix("|").removesuffix("^")
    if any(char in path for char in "*^|?"):
        return ("its path is a pattern",)
    return (_url(name + path, exception=bool(exempt)),)


_ZONE_HOUSEKEEPING = frozenset(("SOA", "NS"))
_SOA_NUMBERS = re.compile(r"[\d\s()smhdwSMHDW]*").fullmatch  # the lines inside an SOA record's brackets
_RPZ_BLOCKS = frozenset((".", "*.", "rpz-drop."))
_RPZ_TRIGGERS = (".rpz-ip", ".rpz-client-ip", ".rpz-nsdname", ".rpz-nsip")


def _rpz(text: str) -> _Reading:
    """`name CNAME .` (that name alone) and `*.name CNAME .` (below it); `rpz-passthru.` is an exception."""
    text = _without_comment(text, ";")
    if text.startswith("$") or _SOA_NUMBERS(text):
        return ()
    words = text.split()
    kinds = [word.upper() for word in words]
    if _ZONE_HOUSEKEEPING.intersection(kinds[:4]):
        return ()
    if "CNAME" not in kinds[1:4] or len(words) != kinds.index("CNAME", 1) + 2:
        return ("only CNAME rules block a name",)
    name, target = words[0], words[-1].lower()
    if name.lower().endswith(_RPZ_TRIGGERS):
        return ("it speaks about the asker's or the server's address, not about a name",)
    if name.endswith("."):
        return ("it ends in a dot, so it is a name of the zone's own",)
    if target not in _RPZ_BLOCKS and target != "rpz-passthru.":
        return ("it sends the name elsewhere instead of blocking it",)
    return (_site(name, exact=not name.startswith("*."), exception=target == "rpz-passthru."),)


_DNSMASQ_RULE = re.compile(r"(local|server|address)\s*=\s*/(.+)/([^/]*)").fullmatch


def _dnsmasq(text: str) -> _Reading:
    """`local=/name/`, `server=/name/`, `address=/name/0.0.0.0`; `server=/name/#` is an exception."""
    text = text if text.endswith("/#") else text.partition(" #")[0].rstrip()
    if text[0] == "#":
        return
    found = _DNSMASQ_RULE(text)
    if not found:
        yield "only local=, server= and address= rules with a name speak about sites"
        return
    kind, names, target = found.groups()
    exception = kind != "address" and target == "#"
    if target and not exception and not (kind == "address" and (target == "#" or _is_sink(target))):
        yield "it sends the name elsewhere instead of blocking it"
        return
    for name in names.split("/"):
        yield _site(name, exception=exception)


_CSV_HEADS = frozenset(("name", "domain", "host", "hostname", "url", "site", "fqdn", "domain_name"))


def _csv(text: str) -> _Reading:
    """`name,category,...`: the first cell is a name or a web address. The category column chooses lists before this."""
    if text[0] in "#;":
        return ()
    name = csv_cells(text)[0]
    if not name or name.lower() in _CSV_HEADS:
        return ()
    return (_url(name),) if "/" in name else (_site(name.removeprefix(".")),)


def csv_cells(text: str) -> list[str]:
    """The cells of one line. Semicolons and tabs separate as well, where there is no comma."""
    mark = next((mark for mark in ",;\t" if mark in text), ",")
    if '"' not in text:
        return [cell.strip() for cell in text.split(mark)]
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=mark))]
    except (csv.Error, StopIteration):
        return [""]


_V2FLY_KINDS = {
    "keyword": "it matches part of a name, and would cover names of others",
    "regexp": "it is a pattern, and would cover names that nobody can list",
    "include": "the list that it includes is not here",
}


def _v2fly(text: str) -> _Reading:
    """`domain:x` or `x` (with what is below), `full:x` (that name alone); `@attribute` and `&list` are notes."""
    text = _without_comment(text)
    if not text:
        return ()
    rule, *notes = text.split()
    if any(note[0] not in "@&" for note in notes):
        return ("it holds more than one word",)
    kind, colon, name = rule.partition(":")
    if not colon:
        kind, name = "domain", rule
    if kind not in ("domain", "full"):
        return (_V2FLY_KINDS.get(kind, "it is of a kind that is not known"),)
    return (_site(name, exact=kind == "full"),)


_READERS: Final[dict[str, Callable[[str], _Reading]]] = {
    "domains": _domains,
    "hosts": _hosts,
    "adblock": _adblock,
    "rpz": _rpz,
    "dnsmasq": _dnsmasq,
    "ut1": _ut1,
    "urls": _urls,
    "csv": _csv,
    "v2fly": _v2fly,
}
