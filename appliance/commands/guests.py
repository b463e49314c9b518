"""`schoolgate guests`: who has signed in at the sign-in page, which codes hold, and an end to a sign-in."""

import argparse
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from appliance.commands.words import data_option
from change_control.guests import Code, codes_file, read_codes
from policy.doors import ask, portal_door


def words(parser: argparse.ArgumentParser) -> None:
    below = parser.add_subparsers(dest="act", required=True, metavar="ACT")
    shown = below.add_parser("list", help="the codes that hold, and who has signed in just now")
    shown.add_argument("--json", action="store_true", help="for programs")
    shown.set_defaults(run=show)
    over = below.add_parser("end", help="end a sign-in; its code holds on, and is revoked at the desk")
    over.add_argument("sign_in", metavar="SIGN-IN", help="as `list` calls it: portal-...")
    over.set_defaults(run=end)
    for each in (shown, over):
        data_option(each, config=False)


def show(words: argparse.Namespace) -> int:
    path = codes_file(words.data)
    codes = read_codes(path.read_text(encoding="utf-8")) if path.exists() else []
    here = _sessions(words)
    if words.json:
        told = [{name: getattr(one, name) for name in Code.__slots__ if name != "digest"} for one in codes]
        print(json.dumps({"codes": told, "signed_in": here}, indent=1))
        return 0
    for one in codes:
        used = sum(each["code"] == one.id for each in here)
        group = f"group {one.group}" if one.group else "the network's group"
        print(f"code {one.id}  {one.school}  {one.label}: {group}, {used} of {one.devices} devices, until {_when(one.ends)}")
    for each in here:
        where = " ".join(each["addresses"])
        how = f"code {each['code']}" if each["code"] else "account"
        print(
            f"{each['key']}  {each['school']}  {each['name']} ({how})  {each['device']} {where}  until {_when(each['until'])}"
        )
    if not codes and not here:
        print("No code holds, and nobody has signed in.")
    return 0


def end(words: argparse.Namespace) -> int:
    one = next((each for each in _sessions(words) if each["key"] == words.sign_in), None)
    if one is None:
        raise LookupError("nobody has signed in by that name; see `schoolgate guests list`")
    ask(portal_door(words.data), {"act": "end", "school": one["school"], "session": one["key"]})
    print(f"{one['name']} is signed out.")
    return 0


def _sessions(words: argparse.Namespace) -> list[Mapping[str, Any]]:
    try:
        return list(ask(portal_door(words.data), {"act": "sessions"})["sessions"])
    except (FileNotFoundError, ConnectionRefusedError):
        raise RuntimeError(
            "the process for devices does not run: it needs the section `devices` in the configuration"
        ) from None


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")
