"""A group's policy as a response policy zone (RPZ), for resolvers that are not ours: BIND, Unbound, Knot, PowerDNS.

The theory. Those resolvers know no categories, only names and what to do with them. So each name that a list or a rule
speaks of is decided for the group as its DNS would be, and what comes out is written down: for the name itself, and for what
is below it (the two can differ, since an entry may mean the name alone). A name that gets what its parent's line gives
already needs no line. What nobody may read, the entries of sealed lists, never becomes a line: it is counted as withheld,
and whoever relies on the zone alone must be told so. Where time alone changes an answer the zone says until when it holds.

Pure: names come in, lines come out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from category_lists.names import NameRefused, canonical_host, is_address
from policy.decide import Question, Reason, decide
from policy.rules import Action
from policy.snapshot import Profile, Snapshot

PASS: Final = "rpz-passthru"  # noqa: S105 - resolvers call it so
GONE: Final = ""  # the root: the name does not exist
BELOW: Final = "zz--below--zz"  # a label that stands for all others
LONGEST: Final = 200  # characters of a name that still fit with the zone's own behind them
COUNTRIES: Final = """
ad ae af ag ai al am ao ar as at au az ba bd be bf bg bh bi bj bn bo br bs bt bw by bz ca cd cf cg ch ci ck cl cm cn co cr cu
cv cy cz de dj dk dm do dz ec ee eg es et fi fj fm fr ga ge gg gh gi gl gm gr gt gy hk hn hr ht hu id ie il im in iq is it je
jm jo jp ke kg kh ki kr kw kz la lb li lk ls lt lu lv ly ma md me mg mk ml mm mn ms mt mu mv mw mx my mz na ne nf ng ni nl no
nr nu nz om pa pe pg ph pk pl pn pr ps pt py qa ro rs ru rw sa sb sc se sg sh si sk sl sm sn so sr st sv td tg th tj tk tl tm
tn to tr tt tw tz ua ug uk us uy uz vc ve vg vi vn vu ws za zm zw
"""

type Line = tuple[str, str]  # name below the zone, perhaps with "*." in front; where it is led (a CNAME's target)


@dataclass(frozen=True, slots=True)
class ResponseZone:
    """What a policy comes to at one moment."""

    school: str
    group: str
    revision: int
    lines: tuple[Line, ...]  # sorted
    withheld: int  # names of sealed lists
    left_out: int  # names that no zone can hold: addresses, pages of a site, names that are too long
    until: datetime | None  # the first instant at which time alone changes a line


def response_zone(
    snapshot: Snapshot, school: str, group: str, listed: Iterable[str], at: datetime, closed: Iterable[str] = ()
) -> ResponseZone:
    """The zone of a group. `listed`: the rows of its lists, `host[/path][ flags]`. KeyError: no such school or group.

    `closed` are names that are no one's to decide, since they are doors to other resolvers.
    """
    profile = snapshot.profile(school, group)
    said: dict[str, tuple[str, str]] = dict.fromkeys(closed, (GONE, GONE))  # name -> what it and what is below it get
    lines = {wild + name: GONE for name in said for wild in ("", "*.")}
    withheld = left_out = 0
    until: datetime | None = None
    for name in sorted(_names(profile, listed), key=lambda one: (one.count("."), one)):
        if name in said:
            continue
        if is_address(name) or len(name) > LONGEST or "/" in name:
            left_out += 1
            continue
        gets: list[str] = []
        for host in (name, f"{BELOW}.{name}"):
            decision = decide(snapshot, Question(school, group, host, at, None, path_follows=False))
            if decision.reason is Reason.SEALED:
                withheld += 1
                break
            if decision.until and (until is None or decision.until < until):
                until = decision.until
            led = profile.led(host)
            gets.append(GONE if decision.action is Action.BLOCK else led or PASS)
        if len(gets) < 2:
            continue
        above = _above(name, said)
        if (gets[0], gets[1]) != (above, above):
            said[name] = gets[0], gets[1]
            lines[name], lines[f"*.{name}"] = gets
    revision = snapshot.revisions.get(school, 0)
    return ResponseZone(school, group, revision, tuple(sorted(lines.items())), withheld, left_out, until)


def _above(name: str, said: dict[str, tuple[str, str]]) -> str:
    """What a name gets by the line of the nearest name above it."""
    rest = name.partition(".")[2]
    while rest:
        if rest in said:
            return said[rest][1]
        rest = rest.partition(".")[2]
    return PASS


def _names(profile: Profile, listed: Iterable[str]) -> set[str]:
    """Every name that something is said of."""
    found = {each for line in listed if (each := line.partition(" ")[0].rstrip("\n")) and not each.startswith("#")}
    for rules in (profile.sites, profile.mandatory_sites, profile.default_sites):
        found.update(rules)
    for engine in profile.dictionary.engines.engines:
        found.update(engine.hosts)
        found.update(engine.dns_hosts)
        found.update(engine.dns_refused)
        if engine.country:
            for country in COUNTRIES.split():
                for ending in (country, f"co.{country}", f"com.{country}"):
                    found.update((f"{engine.country}.{ending}", f"www.{engine.country}.{ending}"))
    return {name for name in found if "/" in name or _canonical(name)}


def _canonical(name: str) -> bool:
    try:
        return canonical_host(name) == name
    except NameRefused:
        return False


def zone_name(school: str, group: str) -> str:
    """How the zone is called."""
    return f"{group}.{school}.rpz.schoolgate"


def header(zone: ResponseZone) -> list[str]:
    """What a person should know of it, a sentence a line."""
    said = [
        f"The policy of {zone.group} at {zone.school}, revision {zone.revision}: {len(zone.lines)} lines.",
        f"Withheld: {zone.withheld} names of sealed lists. They are refused by Schoolgate itself only.",
        f"Left out: {zone.left_out} addresses and single pages, which a zone cannot hold.",
    ]
    if zone.until:
        said.append(f"It changes by itself at {zone.until:%Y-%m-%dT%H:%M:%SZ}; fetch it again then.")
    return said


def as_text(zone: ResponseZone, serial: int) -> Iterator[str]:
    """The zone as a master file, line by line."""
    yield from (f"; {sentence}" for sentence in header(zone))
    origin = zone_name(zone.school, zone.group)
    yield f"$ORIGIN {origin}."
    yield "$TTL 60"
    yield f"@ SOA localhost. hostmaster.schoolgate.internal. {serial} 30 15 86400 60"
    yield "@ NS localhost."
    for name, target in zone.lines:
        yield f"{name} CNAME {target}."
