"""`nft` as we use it: rulesets in as text, tables out as JSON, and what this kernel can do."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any, Final

from appliance.gateway.ruleset import ALIVE, COUNTERS, SETS, TABLE

PATIENCE_S: Final = 30
FEATURES: Final = {  # what is tried, in a table that never comes to be: what it is for
    "redirect": ("chain c { type nat hook prerouting priority -100; meta l4proto tcp redirect to :9; }", "steering"),
    "keyed by device": ("set s { type ether_addr . ipv4_addr; flags dynamic,timeout; }", "permits by device"),
    "reset": ("chain c { type filter hook forward priority 0; meta l4proto tcp reject with tcp reset; }", "quick refusals"),
    "log": ("chain c { type filter hook forward priority 0; log group 1107; }", "reading what connections call their site"),
    "words": ("chain c { type filter hook forward priority 0; @ih,0,8 0x16 accept; }", "holding back what is no web"),
    "marks": ("chain c { type filter hook forward priority 0; ct mark set 1; }", "ending what policy ends"),
    "local": ("chain c { type nat hook prerouting priority -100; fib daddr type local accept; }", "the guard"),
}


class Refused(RuntimeError):
    """nft said no; in its own words, one line."""


@dataclass(frozen=True, slots=True)
class State:
    """What the kernel says of our table. `there` no: it has none."""

    there: bool
    counters: dict[str, tuple[int, int]]  # name: packets, bytes
    permits: dict[str, int]  # set: elements
    alive: dict[str, bool]


def run(text: str, *, check: bool = False) -> None:
    """Put a ruleset into the kernel in one transaction; `check`: only ask whether it would be taken."""
    _nft("-c" if check else "", "-f", "-", given=text)


def _nft(*words: str, given: str | None = None) -> str:
    command = ["nft", *filter(None, words)]
    try:
        done = subprocess.run(  # noqa: S603 - words of ours, rules by standard input
            command, input=given, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except FileNotFoundError:
        raise Refused("nft is not installed; on Debian: apt-get install nftables") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["nft failed without a word"]
        text = lines[0].removeprefix("/dev/stdin:")
        if "Operation not permitted" in done.stderr:
            raise PermissionError(1, "changing the kernel's rules needs root, or the capability CAP_NET_ADMIN")
        raise Refused(f"nft: {text}" + (f" ({lines[1].strip()})" if len(lines) > 1 else ""))
    return done.stdout


def features() -> dict[str, bool]:
    """What this kernel can do of what a gateway needs."""
    found = {}
    for name, (text, _) in FEATURES.items():
        try:
            run(f"table inet schoolgate_probe {{\n{text}\n}}\n", check=True)
            found[name] = True
        except Refused:
            found[name] = False
    return found


def state() -> State:
    """What is in force."""
    try:
        said = json.loads(_nft("-j", "list", "counters", "table", "inet", TABLE))
    except Refused:
        return State(False, {}, {}, {})
    counters = {
        each["counter"]["name"]: (each["counter"]["packets"], each["counter"]["bytes"])
        for each in said["nftables"]
        if "counter" in each
    }
    permits = {name: len(_elements(name)) for name in SETS}
    return State(True, {name: counters.get(name, (0, 0)) for name in COUNTERS}, permits, alive())


def alive() -> dict[str, bool]:
    """What the kernel takes for alive. Refused: our table is not there."""
    return {name: bool(_elements(name)) for name in ALIVE}


def _elements(name: str) -> list[Any]:
    said = json.loads(_nft("-j", "list", "set", "inet", TABLE, name))
    found: list[Any] = next((each["set"].get("elem", []) for each in said["nftables"] if "set" in each), [])
    return found
