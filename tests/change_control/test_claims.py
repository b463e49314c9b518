"""Signatures that other processes check, while the replay goes on: it says the same as the replay that checks each at once."""

import json
import subprocess
import sys
from concurrent.futures import Executor, Future

import pytest

from change_control.claims import BUNCH, Claims
from change_control.keys import AuthorityKey, Signer, b64, public_of
from change_control.plain import Policy
from policy.grounds import undone
from policy.proof import Claim, canonical, digest, signature_holds

HEAD = Signer("p-head", 1, b"h" * 32)
DOCUMENT = {"category_rules": [], "kind": "school", "log": "oakfield", "name": "Oakfield", "site_rules": []}
RUN = """
import json, resource, sys
from change_control.claims import FEW
from change_control.keys import AuthorityKey
from change_control.ledger import roots_of
from change_control.replay import DoesNotAgree, LogExport, replay
from policy.proof import Checkpoint, leaf_hash, origin
key = AuthorityKey("birchwood", b"k" * 32)
for texts, signed in map(json.loads, sys.stdin):
    assert len(texts) > FEW
    leaves = tuple(leaf_hash(text.encode()) for text in signed)
    note = key.sign(Checkpoint(origin("birchwood", "oakfield"), len(texts), roots_of(leaves, [len(texts)])[len(texts)]))
    for others in (0, 1):
        try:
            said = str(replay(LogExport("oakfield", "school", tuple(texts), leaves, note), "birchwood", key.public, others=others))
        except DoesNotAgree as error:
            said = str(error)
        print(json.dumps(said))
print(json.dumps(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime > 0))
"""


def entries(changes):
    policy, found = Policy(DOCUMENT), []

    def add(kind, **values):
        found.append({"v": 1, "log": "oakfield", "tier": "school", "n": len(found), "at": "2026-09-01T08:00:00Z", "kind": kind, **values})  # fmt: skip

    def signed(kind, act, change, diff):
        policy.apply(diff)
        rests = {"signatures": [HEAD.sign(act, "oakfield", diff)]}
        add(kind, change=change, diff=diff, rests_on=rests, policy={"digest": digest(policy.text())})

    founding = {"kind": "founding", "change": 0, "document": DOCUMENT}
    add("log.founded", diff=founding, rests_on={"founding": True}, policy={"digest": digest(policy.text())})
    add("person.enrolled", person="p-head", roles=["headteacher"], key=b64(public_of(HEAD.private)), rests_on={"code": "x"})
    for change in range(1, changes + 1):
        rule = {"id": f"c{change}", "host": "poki.com", "action": "allow", "groups": []}
        diff = {"kind": "site", "change": change, "add": {"site_rules": [rule]}, "remove": {}, "set": {}}
        add("change.requested", change=change, diff=diff, requested_by="p-teacher")
        signed("change.approved", "approve", change, diff)
        signed("change.reversed", "reverse", change, undone(diff))
    return found


@pytest.fixture(scope="module")
def said():
    """What each replay says of a good log, and of some that are not: [(at once, by others), ...]."""
    good = entries(700)
    forged, twice, both, other = (json.loads(json.dumps(good)) for _ in range(4))
    other[1502]["requested_by"] = "p-head"  # as good as what was signed, and not that
    for log, n in ((forged, 1203), (both, 1203)):
        log[n]["rests_on"]["signatures"][0]["signature"] = good[n - 3]["rests_on"]["signatures"][0]["signature"]
    for log, n in ((twice, 1502), (both, 1502)):  # wrong in another way, and after the forged signature
        log[n]["change"] = good[n - 3]["change"]
    texts = [[canonical(entry) for entry in log] for log in (good, forged, twice, both, other)]
    lines = [json.dumps([log, log]) for log in texts[:4]] + [json.dumps([texts[4], texts[0]])]
    command = [sys.executable, "-W", "error", "-c", RUN]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    *answers, others_worked = map(json.loads, done.stdout.splitlines())
    assert others_worked
    return list(zip(answers[::2], answers[1::2], strict=True))


def test_both_ways_say_the_same(said):
    for at_once, by_others in said:
        assert at_once == by_others


def test_the_first_entry_that_is_not_good_is_named(said):
    answers = [one for one, _ in said]
    assert answers[0].startswith("Outcome(log='oakfield', size=2102")
    assert answers[1] == "oakfield: entry 1203 is not good: entry 1203 carries a signature that does not hold"
    assert answers[2].startswith("oakfield: entry 1502 is not good")
    assert answers[4].startswith("oakfield: entry 1502 is not what was signed")
    assert answers[3] == answers[1], "not the later one, which was met while the signature was believed"


class AtOnce(Executor):
    """A pool that has always answered already."""

    def submit(self, work, *given):
        answer = Future()
        answer.set_result(work(*given))
        return answer


def test_what_comes_after_a_no_is_taken_away_too():
    never = [Claim("none", b"k" * 32, b"s" * 64, b"%d" % n) for n in range(3 * BUNCH)]
    with Claims(AtOnce()) as claims:
        said = [claims.believe(claim) for claim in never]
        assert (said[0], said[-1]) == (True, False)
        assert not claims.good()


def test_a_claim_of_a_kind_that_is_not_known_never_holds():
    key = AuthorityKey("birchwood", b"k" * 32)
    assert not signature_holds(Claim("none", key.public, b"s" * 64, b"x"))
    assert not signature_holds(Claim("ES256", key.public, b"s" * 64, b"x"))
