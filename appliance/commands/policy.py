"""`schoolgate policy`: the policy in force for resolvers and programs that are not ours."""

import argparse
import base64
import json
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml

from appliance import response_zones
from appliance.commands.words import WrongWords, config_of, data_option
from policy.live import Live, write_aside
from policy.response_zone import GONE, PASS, ResponseZone, as_text, header, zone_name
from policy.rules import instant, write


def words(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="export|key", parser_class=type(parser))
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
    print(f"# in {path}; set dns.rpz_listen, and start Schoolgate again. In BIND's named.conf:")
    print(f'key "{given.name}" {{ algorithm {known["algorithm"]}; secret "{known["secret"]}"; }};')
    print(f'zone "{zone}" {{ type secondary; primaries {{ {host} port {port} key "{given.name}"; }}; file "{zone}"; }};')
    print(f'# in its options: response-policy {{ zone "{zone}"; }};')
    return 0
