"""Whatever is done to a log's entries is found, and the first entry that is wrong is named."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from change_control.keys import AuthorityKey, Signer, b64, public_of
from change_control.ledger import append, root, roots_of
from change_control.plain import DoesNotFit, Policy
from change_control.replay import DoesNotAgree, LogExport, replay
from policy.grounds import undone
from policy.proof import Checkpoint, canonical, digest, leaf_hash, origin

KEY = AuthorityKey("birchwood", b"k" * 32)
HEAD = Signer("p-head", 1, b"h" * 32)
START = datetime(2026, 9, 1, 8, tzinfo=UTC)
DOCUMENT = {"category_rules": [], "kind": "school", "log": "oakfield", "name": "Oakfield", "site_rules": []}


def root_of(leaves):
    return roots_of(leaves, [len(leaves)])[len(leaves)]


def written(changes: int = 6) -> list[dict]:
    """A log by hand: founding, headteacher, and changes that are asked for, approved, taken back or refused."""
    policy = Policy(DOCUMENT)
    found = [
        {
            "kind": "log.founded",
            "diff": {"kind": "founding", "change": 0, "document": DOCUMENT},
            "rests_on": {"founding": True},
            "policy": {"digest": digest(policy.text())},
        },
        {"kind": "person.enrolled", "person": "p-head", "roles": ["headteacher"], "key": b64(public_of(HEAD.private)), "rests_on": {"code": "x"}},
    ]  # fmt: skip

    def signed(kind, act, change, diff):
        policy.apply(diff)
        return {
            "kind": kind,
            "change": change,
            "diff": diff,
            "rests_on": {"signatures": [HEAD.sign(act, "oakfield", diff)]},
            "policy": {"digest": digest(policy.text())},
        }

    for change in range(1, changes + 1):
        rule = {"id": f"c{change}", "host": f"site{change}.example", "action": "allow", "groups": []}
        diff = {"kind": "site", "change": change, "add": {"site_rules": [rule]}, "remove": {}, "set": {}}
        found.append({"kind": "change.requested", "change": change, "diff": diff, "requested_by": "p-teacher"})
        if change % 3 == 0:
            found.append({"kind": "change.refused", "change": change})
            continue
        found.append(signed("change.approved", "approve", change, diff))
        if change % 3 == 2:
            found.append(signed("change.reversed", "reverse", change, undone(diff)))
    for n, entry in enumerate(found):
        at = (START + timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry |= {"v": 1, "log": "oakfield", "tier": "school", "n": n, "at": at}
    return found


def export(entries: list[str], leaves=None, checkpoint=None) -> LogExport:
    nodes: dict = {}
    for n, text in enumerate(entries):
        append(nodes, n, leaf_hash(text.encode()))
    note = checkpoint or KEY.sign(Checkpoint(origin("birchwood", "oakfield"), len(entries), root(nodes, len(entries))))
    return LogExport(
        "oakfield", "school", tuple(entries), tuple(leaves or (leaf_hash(one.encode()) for one in entries)), note
    )


TEXTS = [canonical(entry) for entry in written()]
GOOD = export(TEXTS)


def verified(log: LogExport):
    return replay(log, "birchwood", KEY.public)


def named(log: LogExport) -> int:
    """The entry that is named as the first that is wrong."""
    with pytest.raises(DoesNotAgree) as found:
        verified(log)
    return int(re.search(r"entry (\d+)", str(found.value))[1])


def spoilt(entries: list[str]) -> LogExport:
    """The same checkpoint over other entries: without the authority's key nothing else can be done."""
    return export(entries, GOOD.leaves, GOOD.checkpoint)


def test_a_good_log_amounts_to_its_policy():
    outcome = verified(GOOD)
    assert [rule["id"] for rule in json.loads(outcome.text)["site_rules"]] == ["c1", "c4"]
    assert {change: state.value for change, state in outcome.states.items()} == {
        1: "in_force", 2: "reversed", 3: "refused", 4: "in_force", 5: "reversed", 6: "refused",
    }  # fmt: skip
    assert outcome.root == root_of(GOOD.leaves)


MODEST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PLACE = st.integers(0, len(TEXTS) - 1)


@MODEST
@given(PLACE, st.data())
def test_a_flipped_bit_is_found_and_named(at, data):
    raw = bytearray(TEXTS[at].encode())
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    text = raw.decode("utf-8", "replace")
    assert named(spoilt([*TEXTS[:at], text, *TEXTS[at + 1 :]])) == at


@MODEST
@given(PLACE)
def test_a_dropped_entry_is_found_and_named(at):
    assert named(spoilt([*TEXTS[:at], *TEXTS[at + 1 :]])) == at


@MODEST
@given(PLACE)
def test_a_doubled_entry_is_found_and_named(at):
    assert named(spoilt([*TEXTS[: at + 1], *TEXTS[at:]])) == at + 1


@MODEST
@given(PLACE, PLACE)
def test_reordered_entries_are_found_and_named(one, other):
    if one != other:
        entries = [*TEXTS]
        entries[one], entries[other] = entries[other], entries[one]
        assert named(spoilt(entries)) == min(one, other)


@MODEST
@given(st.integers(1, len(TEXTS) - 1), st.integers(1, 10_000))
def test_a_back_dated_entry_is_found_even_when_the_authoritys_key_signs_it(at, minutes):
    entry = json.loads(TEXTS[at])
    moved = datetime.fromisoformat(entry["at"]) - timedelta(minutes=minutes + 1)
    entry["at"] = moved.strftime("%Y-%m-%dT%H:%M:%SZ")
    entries = [*TEXTS[:at], canonical(entry), *TEXTS[at + 1 :]]
    assert named(spoilt(entries)) == at
    assert named(export(entries)) == at, "whoever holds the machine and its key signs anew, and is found by the date"


@MODEST
@given(PLACE, st.sampled_from(["drop", "double", "swap"]))
def test_whoever_signs_anew_with_the_machines_key_is_found_by_the_numbers(at, how):
    entries = [*TEXTS]
    if how == "drop":
        del entries[at]
    elif how == "double":
        entries.insert(at, entries[at])
    else:
        entries[at], entries[at - 1] = entries[at - 1], entries[at]
    if entries != TEXTS and entries != TEXTS[: len(entries)]:
        named(export(entries))


def test_a_rule_that_nobody_signed_is_found_even_when_the_authoritys_key_signs_the_log():
    entries = [json.loads(text) for text in TEXTS]
    approved = next(entry for entry in entries if entry["kind"] == "change.approved")
    approved["diff"]["add"]["site_rules"][0]["host"] = "gambling.example"
    assert named(export([canonical(entry) for entry in entries])) == approved["n"]


def test_a_checkpoint_that_is_forged_or_of_another_log():
    for note, said in (
        (AuthorityKey("birchwood", b"x" * 32).sign(Checkpoint(origin("birchwood", "oakfield"), len(TEXTS), b"0" * 32)), "good signature"),
        (KEY.sign(Checkpoint(origin("birchwood", "hillview"), len(TEXTS), root_of(GOOD.leaves))), "its checkpoint is of"),
        (KEY.sign(Checkpoint(origin("birchwood", "oakfield"), len(TEXTS) + 1, root_of(GOOD.leaves))), "cut short"),
        (KEY.sign(Checkpoint(origin("birchwood", "oakfield"), len(TEXTS) - 1, root_of(GOOD.leaves[:-1]))), "was never signed"),
        ("", "not a signed note"),
    ):  # fmt: skip
        with pytest.raises(DoesNotAgree, match=said):
            verified(export(TEXTS, GOOD.leaves, note or "none"))


def test_a_log_made_anew_after_a_witness_saw_it_is_named():
    note = KEY.sign(Checkpoint(origin("birchwood", "oakfield"), 8, root_of(GOOD.leaves[:8])))
    assert verified(LogExport(*[getattr(GOOD, name) for name in ("log", "tier", "entries", "leaves", "checkpoint")], (note,)))
    shorter = export(TEXTS[:6])
    with pytest.raises(DoesNotAgree, match="rolled back or made anew: 8 entries"):
        verified(LogExport("oakfield", "school", shorter.entries, shorter.leaves, shorter.checkpoint, (note,)))


@given(st.lists(st.binary(max_size=4), max_size=40), st.lists(st.integers(0, 45)))
def test_the_roots_read_once_are_the_roots(leaves, sizes):
    nodes: dict = {}
    hashed = [leaf_hash(leaf) for leaf in leaves]
    for n, leaf in enumerate(hashed):
        append(nodes, n, leaf)
    assert roots_of(hashed, sizes) == {size: root(nodes, size) for size in sizes if size <= len(hashed)}


@pytest.mark.parametrize(
    ("diff", "said"),
    [
        ({"add": {}, "remove": {"site_rules": [{"id": "c9"}]}, "set": {}}, "c9 is not in the policy"),
        ({"add": {"name": [{"id": "x"}]}, "remove": {}, "set": {}}, "a policy has no 'name'"),
        ({"add": {}, "remove": {}, "set": {"site_rules": ["", "x"]}}, "no 'site_rules' to set"),
        ({"add": {}, "remove": {}, "set": {"name": ["Other", "x"]}}, "name has been changed since"),
    ],
)
def test_a_diff_on_another_ground_is_refused(diff, said):
    with pytest.raises(DoesNotFit, match=said):
        Policy(DOCUMENT).apply(diff)


def test_empty_collections_leave_no_trace_unless_they_always_stand():
    policy = Policy(DOCUMENT)
    entry = {"id": "x", "host": "a.example"}
    policy.apply({"add": {"coursework": [entry]}, "remove": {}, "set": {}})
    policy.apply({"add": {}, "remove": {"coursework": [entry]}, "set": {}})
    assert policy.text() == canonical(DOCUMENT)
