"""How the command line and the desk ask a running resolver why it would answer so (explain.py is the other end)."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

PATIENCE_S: Final = 12.0
STEPS: Final = {
    "decision": "decided by policy, before anything was looked up",
    "ourselves": "answered by the resolver itself",
    "cache": "resolved earlier, and still in the resolver's memory",
    "upstream": "resolved just now, by asking upstream",
}


class NobodyThere(RuntimeError):
    """No resolver of this data folder runs."""


def ask(data: Path, name: str, kind: str, school: str, group: str) -> dict[str, Any]:
    """What the first resolver that runs says: its steps (explain.py), or `error` in a plain line."""
    asked = json.dumps({"name": name, "type": kind, "school": school, "group": group}).encode() + b"\n"
    for path in sorted((data / "run" / "explain").glob("*.sock")):
        try:
            with socket.socket(socket.AF_UNIX) as way:
                way.settimeout(PATIENCE_S)
                way.connect(str(path))
                way.sendall(asked)
                with way.makefile("rb") as stream:
                    if line := stream.readline():
                        told: dict[str, Any] = json.loads(line)
                        return told
        except OSError:
            continue  # that worker has ended
    raise NobodyThere("no resolver of this data folder runs; start it with `schoolgate up`")


def how(told: Mapping[str, Any]) -> str:
    """The step that answered, in words."""
    step, _, screen = str(told["step"]).partition(", ")
    return STEPS.get(step, step) + (", and then refused for where it leads" if screen else "")
