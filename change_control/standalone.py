"""The verifier that goes with each export: one Python file, for any machine with Python 3.12 and the cryptography package.

It is made of the very sources that check here, so the two cannot disagree; and being readable text, it can be read before it
is believed. Nothing of it reads a database, a secret or the network.
"""

import hashlib
from functools import cache
from pathlib import Path

NAME = "verify_change_log.py"
MODULES = (
    "policy.bounds",
    "policy.passages",
    "policy.rebuild",
    "policy.proof",
    "policy.grounds",
    "change_control.ledger",
    "change_control.lifecycle",
    "change_control.witness",
    "change_control.claims",
    "change_control.plain",
    "change_control.replay",
    "change_control.offline",
)  # in the order in which they import one another
_ROOT = Path(__file__).resolve().parents[1]

_HEAD = '''#!/usr/bin/env python3
"""Does a change log of Schoolgate agree? python3 {name} EXPORT [--key FINGERPRINT]

Needs Python 3.12 or newer, and the package cryptography (`pip install cryptography`). Reads the export and nothing else.
Exit code 0: every entry, signature and proof agrees; 1: the first thing that does not is named; 2: the words were wrong.

Below stand the modules of Schoolgate that do the checking, as they are in the product; at the end the lines that run them.
An export carries the key that it is signed under. Whoever forges a whole export signs it under a key of his own: so compare
the fingerprint with the one that the local authority told you, or give that with --key.
"""

import gc
import sys
import types

MODULES = {{}}
'''

_TAIL = """
for _name, _source in MODULES.items():
    _package, _, _short = _name.partition(".")
    if _package not in sys.modules:
        sys.modules[_package] = types.ModuleType(_package)
        sys.modules[_package].__path__ = []
    _module = sys.modules[_name] = types.ModuleType(_name)
    setattr(sys.modules[_package], _short, _module)
    exec(compile(_source, f"{_name} in {__file__}", "exec"), _module.__dict__)

if __name__ == "__main__":
    gc.disable()  # nothing that is read holds itself, and going through a million entries for such takes its time
    sys.exit(sys.modules["change_control.offline"].main(sys.argv[1:]))
"""


@cache
def text() -> str:
    """The whole file."""
    parts = [_HEAD.format(name=NAME)]
    for module in MODULES:
        source = (_ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        if "'''" in source or source.endswith("\\"):
            raise ValueError(f"{module} cannot stand in a raw string")
        parts.append(f"\n# --- {module} {'-' * (100 - len(module))}\n\nMODULES[\"{module}\"] = r'''{source}'''\n")
    return "".join([*parts, _TAIL])


def sha256() -> str:
    """By which two copies of the verifier are compared."""
    return hashlib.sha256(text().encode()).hexdigest()
