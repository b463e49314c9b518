"""A whole export of change logs, checked with nothing but the authority's public key; and the single-file verifier's command.

Reading an export believes nothing: it takes the parts that the replay then holds against one another.
"""

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from change_control.claims import processes
from change_control.replay import DoesNotAgree, LogExport, Outcome, replay
from change_control.witness import Witness, cosignatures, size_of
from policy.proof import ProofRefused, digest, parse_entry


@dataclass(frozen=True, slots=True)
class Export:
    """A file of change logs, read but not yet believed."""

    authority: str
    public: bytes
    logs: tuple[LogExport, ...]
    policies: tuple[tuple[str, int, str], ...]


def read_export(text: str) -> Export:
    """The parts of an export; DoesNotAgree when it is none."""
    try:
        found = json.loads(text)
        logs = tuple(
            LogExport(
                _text(one["log"]),
                _text(one["tier"]),
                tuple(_text(entry) for entry in one["entries"]),
                tuple(bytes.fromhex(leaf) for leaf in one["leaves"]),
                _text(one["checkpoint"]),
                _notes(one.get("witnessed", [])),
            )
            for one in found["logs"]
        )
        policies = tuple((_text(one["log"]), int(one["n"]), _text(one["text"])) for one in found["policies"])
        read = Export(_text(found["authority"]), base64.b64decode(found["public"], validate=True), logs, policies)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DoesNotAgree("this is not an export of change logs") from None
    if not read.logs:
        raise DoesNotAgree("this export holds no change log")
    if len({log.log for log in read.logs}) != len(read.logs):
        raise DoesNotAgree("this export holds a change log twice")
    return read


def _notes(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("a list is expected")
    return tuple(_text(note) for note in value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    value.encode()  # a lone surrogate has no digest
    return value


def check_policies(policies: Sequence[tuple[str, int, str]], logs: Sequence[LogExport]) -> None:
    """Each stored policy is the one that its entry signs."""
    entries = {log.log: log.entries for log in logs}
    for log, n, text in policies:
        signed = entries.get(log, ())
        entry = parse_entry(signed[n]) if 0 <= n < len(signed) else {}
        if (entry.get("policy") or {}).get("digest") != digest(text):
            raise DoesNotAgree(f"{log}: the stored policy of entry {n} is not the one that the entry signs")


def fingerprint(public: bytes) -> str:
    """A public key as people compare it: the first 20 bytes of its SHA-256, in fours."""
    found = digest_of_key(public)
    return " ".join(found[start : start + 4] for start in range(0, 40, 4))


def digest_of_key(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()


def same_key(given: str, public: bytes) -> bool:
    """Is this, a fingerprint or the key itself in base64, the authority's key?"""
    tidy = "".join(given.split())
    return tidy == base64.b64encode(public).decode() or tidy.lower() == digest_of_key(public)[:40]


def agree(outcome: Outcome) -> str:
    """What is said of a log in which everything agrees."""
    many = "its 1 entry agrees" if outcome.size == 1 else f"all {outcome.size} entries agree"
    return f"{outcome.log}: {many} with the signatures, the proofs and the policy in force"


# --- in words, and as a command of its own --------------------------------------------------------------------------------


def key_line(export: Export) -> str:
    return f"signed under the key of {export.authority}, fingerprint {fingerprint(export.public)}"


COMPARE = (
    "Compare that with the fingerprint that the authority told you, or give it with --key: whoever forges a whole export "
    "signs it under a key of his own."
)


def check_key(export: Export, key: str) -> None:
    """The key in the export is the one that the reader knows; DoesNotAgree otherwise."""
    if key and not same_key(key, export.public):
        raise DoesNotAgree(
            f"this export is signed under another key than the one given: {fingerprint(export.public)}; "
            "it is not the authority's, or the authority has told you another key"
        )


NOBODY = "No witness vouches for these logs, so whoever rules the machine could roll all of it back together."


def witness_lines(logs: Sequence[LogExport], witnesses: Sequence[Witness]) -> list[str]:
    """How far which witness vouches for each log: a cosigned checkpoint is the root of the entries that it counts."""
    said = []
    for log in logs:
        for note in (log.checkpoint, *log.witnessed):
            try:
                seen = cosignatures(note, witnesses)
            except ProofRefused as error:
                raise DoesNotAgree(f"{log.log}: {error}") from None
            size = size_of(note) if seen else 0
            said += [f"{log.log}: {one.witness} saw {size} entries on {one.at:%Y-%m-%d at %H:%M} UTC" for one in seen]
    return list(dict.fromkeys(said)) or [NOBODY]


def verify_text(text: str, key: str = "", witnesses: Sequence[Witness] = ()) -> list[str]:
    """An export gone through from its first entry to its last, in lines for people."""
    export = read_export(text)
    check_key(export, key)
    said = [agree(replay(log, export.authority, export.public, others=processes())) for log in export.logs]
    check_policies(export.policies, export.logs)
    return [*said, *witness_lines(export.logs, witnesses), key_line(export), *([] if key else [COMPARE])]


def main(words: Sequence[str]) -> int:
    """The single-file verifier's command line."""
    parser = argparse.ArgumentParser(description="Does a change log of Schoolgate agree?")
    parser.add_argument("export", metavar="EXPORT")
    parser.add_argument(
        "--key", default="", metavar="FINGERPRINT", help="the fingerprint of the authority's key, as it told you"
    )
    parser.add_argument("--witness", action="append", default=[], metavar="KEY", help="the key of a witness, name+hash+key")
    given = parser.parse_args(words)
    try:
        witnesses = [Witness.read(one) for one in given.witness]
        with open(given.export, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - one import less to read
            said = verify_text(file.read(), given.key, witnesses)
    except DoesNotAgree as error:
        print(f"does not agree: {error}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(str(error), file=sys.stderr)
        return 2
    print("\n".join(said))
    return 0
