"""`schoolgate policy`: the policy in force for resolvers and programs that are not ours."""

import argparse
import base64
import json
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from appliance import response_zones
from appliance.commands.words import WrongWords, config_of, data_option
from policy.live import Live, write_aside
from policy.response_zone import GONE, PASS, ResponseZone, as_text, header, zone_name
from policy.rules import instant, write


def words(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="at|export|key", parser_class=type(parser))
    at = kinds.add_parser("at", help="what was in force at an instant, who authorised each rule, and how two instants differ")
    at.add_argument("instant", metavar="INSTANT", help="such as 2026-11-24T11:05:00Z")
    at.add_argument("--compare", metavar="INSTANT", help="a second instant: only what differs is told")
    at.add_argument("--school", help="one school; left out: every log")
    whom = at.add_mutually_exclusive_group()
    whom.add_argument("--group")
    whom.add_argument("--person", metavar="PSEUDONYM")
    at.add_argument("--json", action="store_true")
    data_option(at)
    at.set_defaults(run=run_at)
    export = kinds.add_parser("export", help="write a group's policy as a response policy zone or as JSON")
    export.add_argument("--format", choices=("rpz", "json"), required=True)
    _whose(export)
    export.add_argument("--at", metavar="RFC3339", help="the moment to decide for (default: now)")
    export.add_argument("--output", type=Path, metavar="FILE", help="where to (default: standard output)")
    data_option(export)
    export.set_defaults(run=run_export)
    key = kinds.add_parser("key", help="make a key by which another resolver may fetch a group's zone")
    key.add_argument("name", metavar="NAME", help="what the key is called, the same on both sides: school-bind")
    _whose(key)
    key.add_argument("--notify", action="append", default=[], metavar="HOST:PORT", help="a resolver to tell of changes")
    data_option(key)
    key.set_defaults(run=run_key)


def _whose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--school", required=True)
    parser.add_argument("--group", required=True)


def _instant(word: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise WrongWords(f"{word} {text!r} is not a moment such as 2026-11-24T11:05:00Z") from None


def run_at(given: argparse.Namespace) -> int:
    from admin_api.then import proof, said
    from appliance.founding import open_installation
    from change_control.history import Between, then
    from change_control.tables import LogRow

    instants = sorted(_instant("INSTANT", text) for text in (given.instant, given.compare) if text)
    config = config_of(given)
    group, person = given.group or "", given.person or ""
    told = []
    with open_installation(config.data, config.desk_database) as founded, founded.store.read() as session:
        names = [row.id for row in session.query(LogRow).order_by(LogRow.tier, LogRow.id)]
        if given.school and given.school not in names:
            raise WrongWords(f"there is no school {given.school!r}; there are: {', '.join(names)}")
        for log in [given.school] if given.school else names:
            some = [then(founded.office, session, log, at) for at in instants]
            taxonomy = founded.office.dictionaries.taxonomy(some[-1].document.dictionary)
            parts = {"in force": some[0].some(group, person)}
            if len(some) == 2:
                between = Between.of(some[0], some[1], group, person)
                parts = {"came": between.come, "went": between.gone}
            for name, lines in parts.items():
                told.append((log, name, some, said(session, some[0 if name == "went" else -1], lines, taxonomy), lines))
        if given.json:
            print(json.dumps([_then(*one) for one in told], ensure_ascii=False, indent=1))
            return 0
        for log, name, some, sentences, _ in told:
            print(f"{log}: {name}, {' and '.join(instant(one.at) for one in some)}")
            for one in sentences:
                print(f"  {one.sentence}\n    entry {one.entry}, {instant(one.at)}: {one.authorised}")
            for line in (line for one in some for line in proof(one)):
                print(f"  {line}")
    return 0


def _then(log: str, name: str, some: Any, sentences: Any, lines: Any) -> dict[str, object]:
    ordered = {(line.entry, str(line.value["id"])): line for line in lines}
    return {
        "school": log,
        "what": name,
        "at": [instant(one.at) for one in some],
        "rules": [
            {
                "sentence": one.sentence,
                "entry": one.entry,
                "at": instant(one.at),
                "change": one.change,
                "authorised": one.authorised,
            }
            for one in sentences
        ],
        "values": [{"collection": line.collection, "entry": line.entry, **line.value} for line in ordered.values()],
        "proof": [
            {"entry": one.entry, "digest": one.digest, "size": one.checkpoint.size, "root": one.checkpoint.root.hex()}
            for one in some
        ],
    }


def run_export(given: argparse.Namespace) -> int:
    at = datetime.now(UTC)
    if given.at:
        try:
            at = datetime.fromisoformat(given.at).astimezone(UTC)
        except ValueError:
            raise WrongWords(f"--at {given.at!r} is not a moment such as 2026-11-24T11:05:00Z") from None
    snapshot = Live(given.data).snapshot
    try:
        zone = response_zones.made(snapshot, given.data, given.school, given.group, at)
    except LookupError as error:
        raise WrongWords(str(error.args[0])) from None
    if given.format == "rpz":
        lines = as_text(zone, response_zones.serial_of(given.data, zone))
    else:
        lines = iter((json.dumps(_plain(zone, write(snapshot.schools[given.school])), ensure_ascii=False, indent=1),))
    if given.output:
        write_aside(given.output, "".join(f"{line}\n" for line in lines).encode())
        for sentence in header(zone):
            print(sentence, file=sys.stderr)
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _plain(zone: ResponseZone, document: str) -> dict[str, object]:
    does = {GONE: "block", PASS: "allow"}
    return {
        "header": header(zone),
        "school": zone.school,
        "group": zone.group,
        "revision": zone.revision,
        "until": instant(zone.until) if zone.until else None,
        "withheld": zone.withheld,
        "left_out": zone.left_out,
        "names": {name: does.get(target, f"lead to {target}") for name, target in zone.lines},
        "document": json.loads(document),
    }


_SNIPPETS = """
# BIND, in named.conf, and in its options: response-policy {{ zone "{zone}"; }};
key "{name}" {{ algorithm {algorithm}; secret "{secret}"; }};
zone "{zone}" {{ type secondary; primaries {{ {host} port {port} key "{name}"; }}; file "{zone}"; }};

# PowerDNS Recursor, in its Lua configuration (before 4.9 it says rpzMaster)
rpzPrimary("{host}:{port}", "{zone}", {{tsigname="{name}", tsigalgo="{algorithm}", tsigsecret="{secret}"}})

# Knot, in knot.conf, to hold the zone and hand it on
key:
  - id: {name}
    algorithm: {algorithm}
    secret: {secret}
remote:
  - id: schoolgate
    address: {host}@{port}
    key: {name}
acl:
  - id: schoolgate
    address: {host}
    action: notify
zone:
  - domain: {zone}
    master: schoolgate
    acl: schoolgate

# Unbound has no keys for transfers: give its rpz: clause the file that `schoolgate policy export --format rpz` writes
"""


def run_key(given: argparse.Namespace) -> int:
    config = config_of(given)
    path = response_zones.keys_file(config)
    snapshot = Live(config.data).snapshot
    school = snapshot.schools.get(given.school)
    if school is None or school.group(given.group) is None:
        raise WrongWords(f"there is no group {given.group!r} at a school {given.school!r}")
    zone = zone_name(given.school, given.group)
    raw = {}
    if path.exists():
        response_zones.load_keys(path)
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not given.name.replace("-", "").isalnum() or not given.name.isascii() or given.name != given.name.lower():
        raise WrongWords(f"{given.name[:60]!r} is not a name of lower-case letters, digits and hyphens")
    known = raw.get(given.name) or {"algorithm": "hmac-sha256", "secret": base64.b64encode(secrets.token_bytes(32)).decode()}
    known["zones"] = sorted({*known.get("zones", ()), zone})
    known["notify"] = sorted({*known.get("notify", ()), *given.notify})
    raw[given.name] = known
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, yaml.safe_dump(raw).encode(), mode=0o600)
    os.chmod(path, 0o600)  # noqa: PTH101 - also where the file was there before
    host, port = (config.dns.rpz_listen or (("SCHOOLGATE", 5353),))[0]
    print(f"# in {path}; set dns.rpz_listen, and start Schoolgate again.")
    print(
        _SNIPPETS.format(name=given.name, zone=zone, host=host, port=port, **{k: known[k] for k in ("algorithm", "secret")})
    )
    return 0
