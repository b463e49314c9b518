"""`schoolgate gateway`: the rules by which this box forwards, steers and refuses; tried safely, and taken away again."""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.commands.words import config_of, data_option
from appliance.config import Config
from appliance.gateway import applying, devices, nft, passing
from appliance.gateway.netlink import ROUTE, Netlink, neighbours
from appliance.gateway.ruleset import IN_FORCE, SETS
from monitoring import attempts, coverage
from monitoring import devices as registered
from monitoring.log import Log
from policy.passages import NOTHING, in_words


def words(parser: argparse.ArgumentParser) -> None:
    below = parser.add_subparsers(dest="act", required=True, metavar="ACT")
    plan = below.add_parser("plan", help="the rules that `apply` would put in force, and what this kernel can do")
    plan.set_defaults(run=show_plan)
    apply = below.add_parser("apply", help="put the rules in force, to be confirmed; running connections go on")
    apply.add_argument("--confirm", type=float, default=120.0, metavar="SECONDS", help="taken back if not confirmed (120)")
    apply.add_argument(
        "--probe", default="", metavar="COMMAND", help="a command that reaches the box from outside; if it fails, back"
    )
    apply.add_argument(
        "--yes", action="store_true", help="confirmed already: for the machine's start, after a first time by hand"
    )
    apply.set_defaults(run=put_in_force)
    confirm = below.add_parser("confirm", help="keep the rules that are being tried; best from a new connection")
    confirm.set_defaults(run=keep)
    back = below.add_parser("roll-back", help="take back what is being tried")
    back.set_defaults(run=take_back)
    show = below.add_parser("show", help="what is in force: what was steered, permitted, refused")
    show.set_defaults(run=show_state)
    seen = below.add_parser("devices", help="which devices are in the inside networks, by neighbours and DHCP leases")
    seen.add_argument(
        "--leases", action="append", type=Path, metavar="FILE", help="of dnsmasq or Kea (default: where they put it)"
    )
    seen.add_argument("--json", action="store_true", help="for programs")
    seen.set_defaults(run=show_devices)
    cover = below.add_parser("coverage", help="how much is seen of each network and device, and who tries to get round")
    cover.add_argument("--days", type=int, choices=range(1, 8), default=1, metavar="N", help="the last N days, up to 7 (1)")
    cover.add_argument("--school", default="", metavar="S", help="this school alone (default: all)")
    cover.add_argument("--json", action="store_true", help="for programs")
    cover.set_defaults(run=show_coverage)
    remove = below.add_parser("remove", help="take our rules away, and stop forwarding")
    remove.set_defaults(run=take_away)
    for each in (plan, apply, confirm, back, show, seen, cover, remove):
        data_option(each)


def show_plan(words: argparse.Namespace) -> int:
    config = config_of(words)
    text, let_by = applying.planned(config), applying.let_by(config)
    nft.run(text + let_by.text, check=True)
    missing = [f"{name} (for {nft.FEATURES[name][1]})" for name, there in nft.features().items() if not there]
    print(text, end="")
    print(f"# what signed policy lets by beside that; the process that steers puts it in force\n{let_by.text}", end="")
    _tell_unsigned(config)
    print(f"# this kernel lacks: {', '.join(missing)}" if missing else "# this kernel has all that is needed")
    return 1 if missing else 0


def put_in_force(words: argparse.Namespace) -> int:
    config = config_of(words)
    text, folder = applying.planned(config), applying.rules_folder(config.data)
    _tell_unsigned(config)
    if came := applying.locked_out(applying.gateway_of(config), os.environ):
        raise applying.NotApplied(f"you come from {came}, which gateway.admin does not hold: you would lock yourself out")
    applying.try_out(text, folder, words.probe)
    if words.yes:
        applying.confirm(folder)
        print("The rules are in force.")
        return 0
    applying.wait_for_a_person(folder, words.confirm)
    print(
        f"The rules are in force for {words.confirm:g} seconds. Open a NEW connection to this box, and type there\n"
        "    schoolgate gateway confirm\nIf you cannot, wait: they are taken back by themselves."
    )
    return 0


def _tell_unsigned(config: Config) -> None:
    if told := applying.gateway_of(config).told:
        print(f"{told}.", file=sys.stderr)


def keep(words: argparse.Namespace) -> int:
    if not applying.confirm(applying.rules_folder(config_of(words).data)):
        raise applying.NotApplied("nothing is being tried: it was confirmed already, or taken back")
    print("Confirmed: these rules stay, also after a restart.")
    return 0


def take_back(words: argparse.Namespace) -> int:
    applying.roll_back(applying.rules_folder(config_of(words).data))
    print(
        "What was confirmed before is in force again."
        if nft.state().there
        else "There are no rules, and nothing is forwarded."
    )
    return 0


def take_away(words: argparse.Namespace) -> int:
    applying.remove(applying.rules_folder(config_of(words).data))
    print("Our rules are gone, and this box forwards nothing.")
    return 0


def show_devices(words: argparse.Namespace) -> int:
    gateway = applying.gateway_of(config_of(words))
    files = words.leases or [each for each in devices.USUAL if each.exists()]
    leased = [
        lease for file in files for lease in devices.leases(file.read_text(encoding="utf-8", errors="replace"), time.time())
    ]
    route = Netlink(ROUTE)
    try:
        found = devices.devices(gateway, neighbours(route), leased)
    finally:
        route.close()
    if words.json:
        print(json.dumps([asdict(each) for each in found], indent=1))
        return 0
    for each in found:
        marks = ", ".join(filter(None, ("here now" if each.here else "", "an address it made up itself" if each.own else "")))
        print(f"{each.network:12} {each.device}  {each.name or '(no name)':24} {' '.join(each.addresses)}  {marks}".rstrip())
    if not found:
        print("No device of the inside networks is known.")
    return 0


def show_coverage(words: argparse.Namespace) -> int:
    config, now = config_of(words), datetime.now(UTC)
    only = {words.school} if words.school else None
    shares = coverage.seen(applying.steering_folder(config.data) / "coverage", now.timestamp(), words.days, only)
    since = now - timedelta(days=words.days)
    with Log(config.log_database) as log:
        schools = [words.school] if words.school else log.schools()
        tried = [one for school in schools for one in attempts.attempts(log, school, since, now)]
        codes = [*(one.device for one in shares), *(one.device for one in tried)]
        names = {code: name for school in schools for code, name in registered.called(log, school, codes).items()}
        pinned = sorted(
            (one for school in schools for one in attempts.pinned(log, school, since, now)), key=lambda one: -one[1]
        )
    if words.json:
        told = {
            "connections": [
                {"network": one.network, "device": one.device, **one.counts, "bytes": one.bytes} for one in shares
            ],
            "attempts": [
                {"device": one.device, "address": one.address, "score": one.score, "kinds": dict(one.kinds)} for one in tried
            ],
            "pinned": [{"site": host, "connections": count} for host, count in pinned],
        }
        print(json.dumps(told, indent=1))
        return 0
    print(f"{'network, device':32}{'connections':>12}" + "".join(f"{way:>12}" for way in coverage.WAYS))
    for one in shares:
        name = f"  {names.get(one.device, one.device)}" if one.device else one.network
        print(f"{name:32}{one.total:>12}" + "".join(f"{one.percent(way):>11}%" for way in coverage.WAYS))
        if one.size:
            size = f"{one.size / 1e6:,.1f} MB"
            print(f"{'':32}{size:>12}" + "".join(f"{one.percent_of_bytes(way):>11}%" for way in coverage.WAYS))
    if not shares:
        print("Nothing has been counted.")
    elif not any(one.size for one in shares):
        print(coverage.NO_BYTES)
    for way, meaning in coverage.WAYS.items():
        print(f"  {way:11} {meaning}")
    print("\nattempts to get round the filter" if tried else "\nNobody tried to get round the filter.")
    for each in sorted(tried, key=lambda one: -one.score):
        kinds = ", ".join(f"{kind} {count}x" for kind, count in each.kinds.most_common())
        print(f"  {each.score:>6}  {names.get(each.device, each.device) or each.address:20} {kinds}")
    if pinned:
        print("\napps that refuse to be seen")
    for host, count in pinned:
        print(f"  {count:>6}  {host}")
    return 0


COUNTED = {
    "inspected": "connections to names that the proxy sees",
    "direct": "connections forwarded by the kernel",
    "unresolved": "connections to addresses that we told nobody: judged by the proxy",
    "refused": "packets refused because the filter was not there",
    "dns": "conversations with any resolver, brought to ours",
    "quic": "packets of QUIC refused",
    "encrypted_dns": "packets of other resolvers' encrypted DNS refused",
    "other": "packets to other ports refused",
    "revoked": "packets that ended what policy ended",
    "spoofed": "packets from addresses that their network does not have",
}


def show_state(words: argparse.Namespace) -> int:
    config = config_of(words)
    folder, state = applying.rules_folder(config.data), nft.state()
    _tell_unsigned(config)
    if not state.there:
        print("There are no rules of ours in the kernel.")
        return 1
    trying = (folder / "trying.nft").exists()
    print("The rules are being tried, and wait to be confirmed." if trying else "The rules are in force.")
    print(f"The proxy is {'there' if state.alive['proxy_alive'] else 'NOT there'}, ", end="")
    print(f"the filter as a whole is {'there' if state.alive['filter_alive'] else 'NOT there'}.")
    for name, about in COUNTED.items():
        print(f"{state.counters[name][0]:>12}  {about}")
    print(f"{sum(state.permits[name] for name in SETS):>12}  permits at this moment")
    _show_ways(config)
    return 0


def _show_ways(config: Config) -> None:
    """What signed policy lets by beside the filtered web, and whether the kernel has it."""
    gateway, known = applying.gateway_of(config), applying.signed_ways(config)
    open_ = [one for one in passing.stretches(gateway, known) if one.way != NOTHING]
    kernel = Netlink()
    try:
        there = kernel.has(IN_FORCE, applying.let_by(config).mark)
    finally:
        kernel.close()
    print("Beside the filtered web, as the headteacher signed" + (":" if there else ", but the kernel does NOT have it yet:"))
    for one in open_:
        print(f"  {one.inside.name} ({one.prefix}): devices {'; '.join(in_words(one.way))}")
    if not open_:
        print("  nothing; every network has no web while the filter is not there")
