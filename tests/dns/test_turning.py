"""From one policy to another, in the middle of things: nothing of the old one is said after it, and what fails is refused."""

from dataclasses import replace

import pytest

from policy.identity import Clients
from policy.presence import Presence
from policy.rules import Action, Group, Network, SchoolPolicy, SiteRule
from policy.snapshot import Snapshot

from .test_rehearsal import KS3, NAMES, Worker, packet

OTHER = bytes((127, 20, 3, 6))
REFUSED = 5
NETWORK = Network("n9", "g", "127.40.0.0/16")
OPEN = (SiteRule("s1", "open.bet.example", Action.ALLOW, 3),)


def outcome(reply):
    return reply[3] & 0xF


class Turning:
    """In force is the old policy, and from a certain look on the new one, as when a thread has loaded it."""

    def __init__(self, old, new, looks):
        self.old, self.new, self.looks = old, new, looks

    @property
    def snapshot(self):
        self.looks -= 1
        return self.old if self.looks >= 0 else self.new


def of_group(snapshot, group):
    """The same with all clients in this group, and for `strict` a rule that closes what others may open."""
    groups = (Group("free", "Free", "staff"), Group("strict", "Strict", "ks2"))
    rules = (replace(OPEN[0], groups=("free",)), SiteRule("s2", "open.bet.example", Action.BLOCK, 4, groups=("strict",)))
    school = SchoolPolicy(
        "hillview", "Hillview", "a", "d", groups, (Network("n1", group, "127.20.3.0/24"),), site_rules=rules
    )
    schools, first = {"hillview": school}, snapshot
    return Snapshot(
        2, first.authority, schools, first.authorities, first.dictionaries, {"hillview": 8}, Clients(schools.values())
    )


@pytest.mark.parametrize("looks", range(8))
def test_who_is_met_first_while_the_policy_turns_is_known_by_the_new_one(make_live, at, looks):
    first = make_live(names=NAMES).snapshot
    old, new = of_group(first, "free"), of_group(first, "strict")
    live = Turning(old, new, looks)
    worker = Worker(live, at)
    worker.answers.many([(packet("nowhere.test"), KS3), (packet("open.bet.example"), OTHER)] * 2, "dns:127.0.0.1:53")
    live.looks = 0
    worker.events.clear()
    worker.ask(packet("open.bet.example"), source=OTHER)
    assert [(each.group, each.action) for each in worker.events] == [("strict", Action.BLOCK)]


@pytest.mark.parametrize("rehearsed", [False, True])
@pytest.mark.parametrize("tcp", [False, True])
def test_the_first_question_after_a_turn_is_answered_by_the_new_policy_however_it_comes(make_live, at, tcp, rehearsed):
    """Also where another school's replies stay ready, and so nothing is forgotten."""
    live = make_live(names=NAMES)
    first, other = live.snapshot, SchoolPolicy("oak", "Oak", "a", "d", (Group("g", "G", "ks2"),), (NETWORK,))
    old, new = (
        replace(first, schools={**one.schools, "oak": other}, clients=Clients([*one.schools.values(), other]))
        for one in (of_group(first, "free"), of_group(first, "strict"))
    )
    live.snapshot = old
    worker = Worker(live, at)
    for source in (KS3, bytes((127, 40, 0, 1))):
        for _ in range(2):
            worker.ask(packet("open.bet.example"), source=source, tcp=tcp)
    if rehearsed:
        worker.answers.rehearsal(new)
    live.snapshot = new
    worker.events.clear()
    worker.ask(packet("open.bet.example"), tcp=tcp)
    assert [(each.group, each.action) for each in worker.events] == [("strict", Action.BLOCK)]


class Failing(Presence):
    """One that cannot say who left."""

    def since(self, version):
        raise RuntimeError


def test_what_cannot_be_turned_to_is_refused_and_nothing_of_before_is_used(make_live, make_snapshot, at):
    worker = Worker(make_live(names=NAMES, site_rules=OPEN), at)
    assert outcome(worker.ask(packet("open.bet.example"))[0]) == 0
    new = make_snapshot(names=NAMES, site_rules=(), generation=2)
    failing = Failing()
    object.__setattr__(new, "clients", Clients(new.schools.values(), failing))
    worker.live.snapshot = new
    worker.ask(packet("open.bet.example"))
    failing.version = 1
    asked = [packet("open.bet.example"), packet("nowhere.test"), b"\xff"]
    said = worker.ask(*asked)
    assert [outcome(each) if each else None for each in said[:2]] == [2, 2]
    assert worker.answers.undecided == 3
    assert worker.events[-1].action is Action.BLOCK
    worker.events.clear()
    worker.ask(packet("open.bet.example"))
    assert [each.action for each in worker.events] == [Action.BLOCK]


class Interrupted(Presence):
    """Somebody else leaves just after it was asked who left."""

    def since(self, version):
        found = super().since(version)
        self._changes.append((self.version + 1, frozenset({"127.20.3.6"})))
        self.version += self.version < 2
        return found


def test_who_leaves_while_it_is_looked_who_left_is_seen_the_next_time(make_live, at):
    live = make_live(names=NAMES)
    presence = Interrupted()
    object.__setattr__(live.snapshot, "clients", Clients(live.snapshot.schools.values(), presence))
    worker = Worker(live, at)
    for source in (KS3, OTHER):
        worker.ask(packet("news.example"), source=source)
    near = worker.answers._seats.near("dns:127.0.0.1:53")
    presence._changes.append((1, frozenset({"127.20.3.5"})))
    presence.version = 1
    worker.answers._follow_snapshot()
    assert set(near) == {OTHER}
    worker.answers._follow_snapshot()
    assert not near


def test_a_clock_set_back_ends_a_rehearsal(make_live, make_snapshot, at):
    worker = Worker(make_live(names=NAMES), at)
    worker.ask(packet("open.bet.example"))
    new = make_snapshot(names=NAMES, site_rules=OPEN, generation=2)
    coming = worker.answers.rehearsal(new)
    worker.ask(packet("open.bet.example"))
    assert not coming.work(worker.now, 60)
    worker.now -= 60
    worker.ask(packet("open.bet.example"))
    worker.live.snapshot, ready = new, worker.ready
    worker.ask(packet("open.bet.example"))
    assert worker.ready == ready
