"""`schoolgate devices`: who and what is there; the register as a table; and what a DHCP server calls at each lease."""

import argparse
import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from appliance.commands.words import WrongWords, config_of, data_option
from appliance.devices.process import hook_path
from change_control.keys import secret_of
from monitoring import devices
from monitoring.devices import FIELDS, MOST_ROWS, STANDINGS, Device, Names, Wanted
from monitoring.log import Log
from policy.live import Live
from policy.rules import SchoolPolicy


def words(parser: argparse.ArgumentParser) -> None:
    below = parser.add_subparsers(dest="act", required=True, metavar="ACT")
    shown = below.add_parser("list", help="the register: what is or was in the school's networks, those seen last first")
    shown.add_argument("words", nargs="*", metavar="WORD", help="only those with these words, a MAC or an address")
    shown.add_argument("--json", action="store_true", help="for programs")
    shown.set_defaults(run=show)
    who = below.add_parser("who", help="whose rules hold at an address just now, and by what that is known")
    who.add_argument("address", metavar="ADDRESS")
    who.add_argument("--listener", default="", help="the listener that it comes in by, where schools use the same addresses")
    who.add_argument("--json", action="store_true", help="for programs")
    who.set_defaults(run=tell_who)
    name = below.add_parser("name", help="say what a device is called and whose it is; that changes no answer")
    name.add_argument("device", metavar="MAC")
    for field in FIELDS:
        name.add_argument(f"--{field}", choices=(*STANDINGS, "") if field == "standing" else None)
    name.set_defaults(run=describe)
    out = below.add_parser("export", help="the register as CSV")
    out.add_argument("file", nargs="?", default="-", metavar="FILE", help="where to (default: standard output)")
    out.set_defaults(run=take_out)
    bring = below.add_parser("import", help="take a CSV into the register; its first line names the columns: mac,name,owner")
    bring.add_argument("file", metavar="FILE", help="- for standard input")
    bring.set_defaults(run=bring_in)
    lease = below.add_parser("lease", help="what dnsmasq (dhcp-script) or Kea (run_script) call at each lease")
    lease.add_argument("event", metavar="EVENT", help="dnsmasq: add, old, del; Kea: leases4_committed, lease4_renew, ...")
    lease.add_argument("mac", nargs="?", default="", metavar="MAC")
    lease.add_argument("address", nargs="?", default="", metavar="ADDRESS")
    lease.add_argument("name", nargs="?", default="", metavar="NAME")
    lease.set_defaults(run=tell_lease)
    for each in (shown, name, out, bring):
        each.add_argument("--school", default="", help="which school (needed only where there are several)")
    for each in (shown, who, name, out, bring, lease):
        data_option(each)


def _school(words: argparse.Namespace) -> SchoolPolicy:
    schools = Live(words.data).snapshot.schools
    if words.school in schools:
        return schools[words.school]
    if words.school or len(schools) != 1:
        raise WrongWords(f"say --school; there are: {', '.join(sorted(schools))}")
    return next(iter(schools.values()))


def _log(words: argparse.Namespace) -> Log:
    return Log(config_of(words).log_database)


def _groups(school: SchoolPolicy) -> Mapping[str, str]:
    return {each.device: each.group for each in school.belongings if each.device}


def show(words: argparse.Namespace) -> int:
    school = _school(words)
    with _log(words) as log:
        found = devices.search(log, school.log, Wanted(" ".join(words.words)), limit=MOST_ROWS)
    groups = _groups(school)
    if words.json:
        print(json.dumps([{**asdict(each), "group": groups.get(each.device)} for each in found], indent=1))
        return 0
    for each in found:
        print(_line(each, groups.get(each.device, "")))
    if not found:
        print("No such device is in the register.")
    return 0


def _line(one: Device, group: str) -> str:
    about = ", ".join(filter(None, (one.kind, one.owner, one.room, one.standing, f"group {group}" if group else "")))
    when = one.last.astimezone().strftime("%Y-%m-%d %H:%M") if one.last else "never seen"
    return f"{one.mac}  {one.called:28} {when:16}  {' '.join(one.addresses[:3]):28}  {about}".rstrip()


def tell_who(words: argparse.Namespace) -> int:
    """As resolver and proxy see it at this moment."""
    snapshot = Live(words.data).snapshot
    client = snapshot.clients.of(words.listener, words.address)
    if client is None:
        print(f"{words.address} is no address of any school: it gets no answer.")
        return 1
    if words.json:
        print(json.dumps(asdict(client)))
        return 0
    school = snapshot.schools.get(client.school)
    group = school.group(client.group) if school else None
    print(f"{words.address}: {school.name if school else 'no school'}, {group.name if group else client.group}")
    print(f"  known by: {client.identified_by}; network: {client.network or 'none'}")
    if client.device or client.person:
        with _log(words) as log:
            called = devices.called(log, client.school, [client.device])
        print(f"  device: {called.get(client.device, 'not in the register yet')} ({client.device or 'unknown'})")
        print(f"  person: {client.person or 'nobody signed in'}")
    return 0


def describe(words: argparse.Namespace) -> int:
    said = {field: getattr(words, field) for field in FIELDS if getattr(words, field) is not None}
    if not said:
        raise WrongWords(f"say something of it: {', '.join(f'--{field}' for field in FIELDS)}")
    school = _school(words)
    with _log(words) as log:
        found = devices.describe(log, school.log, devices.one(log, school.log, words.device).device, said)
    print(_line(found, _groups(school).get(found.device, "")))
    return 0


def take_out(words: argparse.Namespace) -> int:
    school = _school(words)
    with _log(words) as log:
        text = devices.write_csv(devices.search(log, school.log, Wanted(), limit=MOST_ROWS), _groups(school))
    if words.file == "-":
        sys.stdout.write(text)
    else:
        Path(words.file).write_text(text, encoding="utf-8", newline="")
    return 0


def bring_in(words: argparse.Namespace) -> int:
    """All of it or nothing. Groups in it are for the headteacher, so they are only counted here."""
    school = _school(words)
    text = sys.stdin.read() if words.file == "-" else Path(words.file).read_text(encoding="utf-8")
    read = devices.read_csv(text)
    if read.wrong:
        raise ValueError(f"nothing was taken in: {'; '.join(read.wrong[:5])}")
    with _log(words) as log:
        count = devices.take_csv(log, school.log, read, Names(secret_of(words.data / "secrets" / "people.key")))
    print(f"{count} devices are in the register.")
    if read.groups:
        print(f"{len(read.groups)} of them name a group: bring the table in at the desk, where that becomes a request.")
    return 0


def tell_lease(words: argparse.Namespace) -> int:
    """To the process for devices, if it runs; a DHCP server must never fail for our sake."""
    said = _told(words, os.environ)
    if not said:
        return 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        for one in said:
            try:
                sock.sendto(json.dumps(one).encode(), str(hook_path(words.data)))
            except OSError as error:
                print(f"schoolgate: the process for devices does not listen: {error}", file=sys.stderr)
                return 0
    return 0


def _told(words: argparse.Namespace, environ: Mapping[str, str]) -> list[dict[str, str]]:
    """What a hook was called with: dnsmasq's words, or Kea's variables."""
    if words.event in ("add", "old", "del"):
        act = "del" if words.event == "del" else "add"
        return [{"act": act, "mac": words.mac, "address": words.address, "name": words.name}]
    over = any(words.event.endswith(each) for each in ("release", "expire", "decline"))
    kind = "6" if "6" in words.event else "4"
    found = []
    names = [(name, over) for name in _each(environ, f"LEASES{kind}")] or [(f"LEASE{kind}", over)]
    names += [(name, True) for name in _each(environ, f"DELETED_LEASES{kind}")]
    for name, over in names:
        mac, address = environ.get(f"{name}_HWADDR", ""), environ.get(f"{name}_ADDRESS", "")
        if mac and address:
            hostname = environ.get(f"{name}_HOSTNAME", "").rstrip(".")
            found.append({"act": "del" if over else "add", "mac": mac, "address": address, "name": hostname})
    return found


def _each(environ: Mapping[str, str], kind: str) -> list[str]:
    """Under which names the variables of these leases begin."""
    count = environ.get(f"{kind}_SIZE", "")
    return [f"{kind}_AT{n}" for n in range(int(count))] if count.isdigit() and len(count) < 4 else []
