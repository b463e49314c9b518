"""Names that no list knows: what a school may say of them, and that it is seen who decided."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from category_lists.classifier import Guess, Proposal
from policy.decide import Question, Reason, alike, decide, reader, suspected
from policy.rules import Action, CategoryRule, SiteRule, UnknownRule
from policy.words import sentence

from .conftest import LESSON

ALLOW, WARN, BLOCK = Action.ALLOW, Action.WARN, Action.BLOCK


@dataclass(frozen=True)
class FakeModel:
    """A model that knows two names."""

    version: str = "v1"

    def guess(self, host):
        if host.startswith("casino"):
            return Guess((Proposal("gambling", 0.9), Proposal("games", 0.2)))
        return Guess(generated=host.startswith("qxz"))

    def propose(self, host):
        return self.guess(host).proposals

    def read(self, host, reader, text):
        return Guess((Proposal("gambling", 0.8),)) if "spins" in text else Guess()


def rule(sign, action, *groups, **more):
    return UnknownRule(f"u-{sign}-{action}-{len(groups)}", sign, action, 7, groups, **more)


@pytest.fixture
def ask(snapshot, dictionary):
    """Asks for a name as somebody of a group, under some rules."""

    def asked(host, *rules, group="ks3", at=LESSON, **more):
        made = snapshot(unknown=rules, **more)
        made = replace(
            made,
            dictionaries={digest: replace(one, model=FakeModel()) for digest, one in made.dictionaries.items()},
            _profiles={},
        )
        return made, decide(made, Question("hillview", group, host, at, "/"))

    return asked


@pytest.mark.parametrize(
    ("host", "rules", "group", "action", "reason"),
    [
        ("casino-new.example", (), "ks3", ALLOW, Reason.UNKNOWN_NAME),  # nothing is decided by a guess that nobody signed
        ("casino-new.example", (rule("looks_harmful", WARN),), "ks3", WARN, Reason.LOOKS_HARMFUL),
        ("casino-new.example", (rule("looks_harmful", BLOCK),), "ks3", BLOCK, Reason.LOOKS_HARMFUL),
        ("calm.example", (rule("looks_harmful", BLOCK),), "ks3", ALLOW, Reason.UNKNOWN_NAME),
        ("qxzvw.example", (rule("looks_harmful", BLOCK),), "ks3", ALLOW, Reason.UNKNOWN_NAME),
        ("qxzvw.example", (rule("generated", WARN),), "ks3", WARN, Reason.GENERATED),
        ("calm.example", (rule("any", BLOCK),), "ks3", BLOCK, Reason.UNKNOWN_NAME),
        ("calm.example", (rule("any", BLOCK), rule("any", ALLOW, "ks3")), "ks3", ALLOW, Reason.UNKNOWN_NAME),
        ("calm.example", (rule("any", BLOCK, "staff"),), "ks3", ALLOW, Reason.UNKNOWN_NAME),
        ("casino-new.example", (rule("any", WARN), rule("looks_harmful", BLOCK)), "ks3", BLOCK, Reason.LOOKS_HARMFUL),
        ("casino.sch.uk", (rule("any", BLOCK),), "ks3", ALLOW, Reason.UNKNOWN_NAME),  # only schools register there
        ("games.example", (rule("any", ALLOW),), "ks3", BLOCK, Reason.PHASE_DEFAULT),  # a list knows it
        ("childline.example", (rule("any", BLOCK),), "ks3", ALLOW, Reason.ESSENTIAL),
    ],
)
def test_what_a_school_says_of_names_that_no_list_knows(ask, host, rules, group, action, reason):
    _, decision = ask(host, *rules, group=group)
    assert (decision.action, decision.reason) == (action, reason)


def test_a_guess_is_never_stricter_than_the_category_that_it_guesses(ask):
    opened = (CategoryRule("k1", "gambling", ALLOW, 3), CategoryRule("k2", "games", ALLOW, 3))
    _, decision = ask("casino-new.example", rule("looks_harmful", BLOCK), categories=opened)
    assert decision.action is ALLOW


def test_the_decision_says_who_guessed_what_and_which_change_let_it(ask):
    made, decision = ask("casino-new.example", rule("looks_harmful", BLOCK))
    assert (decision.category, decision.list, decision.list_version, decision.change) == ("gambling", "classifier", "v1", 7)
    said = sentence(made, decision, Question("hillview", "ks3", "casino-new.example", LESSON, "/"))
    assert "No list knows it, its name looks like Gambling" in said
    assert "(change 7)" in said


def test_it_is_corrected_by_a_rule_for_the_site(ask):
    site = SiteRule("s1", "casino-new.example", ALLOW, 9)
    _, decision = ask("casino-new.example", rule("looks_harmful", BLOCK), sites=(site,))
    assert (decision.action, decision.reason) == (ALLOW, Reason.SCHOOL_SITE)


def test_a_rule_ends_and_until_says_so(ask):
    end = LESSON + timedelta(hours=1)
    _, decision = ask("calm.example", rule("any", BLOCK, until=end))
    assert (decision.action, decision.until) == (BLOCK, end)
    _, decision = ask("calm.example", rule("any", BLOCK, until=end), at=end)
    assert decision.action is ALLOW


def test_replies_for_such_names_are_not_shared(ask):
    made, _ = ask("calm.example", rule("looks_harmful", BLOCK))
    profile = made.profile("hillview", "ks3")
    assert alike(profile, "casino-new.example") is None
    assert alike(profile, "bets.example") is not None


@pytest.mark.parametrize("host", ["games.example.sch.uk", "gamblingtherapy.bets.example", "phonics.games.example"])
def test_names_that_speak_for_themselves_share_no_reply_with_others_on_their_list(ask, host):
    made, _ = ask("calm.example")
    assert alike(made.profile("hillview", "ks3"), host) is None


@pytest.mark.parametrize(
    ("host", "rules", "said"),
    [
        ("casino-new.example", (rule("looks_harmful", ALLOW),), ("gambling", "games")),
        ("casino-new.example", (rule("looks_harmful", WARN),), ("gambling", "games")),
        ("casino-new.example", (rule("looks_harmful", WARN, until=LESSON),), ()),  # it has ended
        ("casino-new.example", (rule("any", WARN),), ()),  # nobody signed that such guesses count
        ("casino-new.example", (), ()),
        ("calm.example", (rule("looks_harmful", WARN),), ()),
        ("casino.games.example", (rule("looks_harmful", WARN),), ()),  # a list knows it
        ("casino.sch.uk", (rule("looks_harmful", WARN),), ()),
    ],
)
def test_what_a_name_suggests_to_those_who_read_its_pages(ask, host, rules, said):
    made, _ = ask(host, *rules)
    assert suspected(made.profile("hillview", "ks3"), Question("hillview", "ks3", host, LESSON, "/")) == said


@pytest.mark.parametrize(
    ("rules", "looks", "action", "listed"),
    [
        ((rule("looks_harmful", WARN),), ("gambling",), WARN, "classifier-page"),
        ((rule("looks_harmful", BLOCK),), ("gambling",), BLOCK, "classifier-page"),
        ((rule("looks_harmful", BLOCK),), (), ALLOW, None),
        ((rule("looks_harmful", ALLOW),), ("gambling",), ALLOW, None),  # it is noted, and opens all the same
        ((rule("looks_harmful", BLOCK),), ("education",), ALLOW, None),  # never stricter than what it looks like
        ((rule("any", WARN),), ("gambling",), WARN, None),  # nobody signed that such guesses count
        ((), ("gambling",), ALLOW, None),
    ],
)
def test_what_name_and_text_look_like_together_counts_under_the_same_rule(ask, rules, looks, action, listed):
    made, _ = ask("calm.example", *rules)
    asked = Question("hillview", "ks3", "calm.example", LESSON, "/", looks=looks)
    decision = decide(made, asked)
    assert decision.action is action
    if listed:
        assert (decision.list, decision.list_version, decision.category) == (listed, "v1", "gambling")
        assert "its name and its text together look like" in sentence(made, decision, asked)


@pytest.mark.parametrize(
    ("host", "rules", "reads"),
    [
        ("calm.example", (rule("looks_harmful", WARN),), True),
        ("calm.example", (rule("any", WARN),), False),
        ("casino.games.example", (rule("looks_harmful", WARN),), False),  # a list knows it
        ("casino.sch.uk", (rule("looks_harmful", WARN),), False),
    ],
)
def test_whose_pages_are_read_for_what_they_look_like(ask, host, rules, reads):
    made, _ = ask(host, *rules)
    read = reader(made.profile("hillview", "ks3"), Question("hillview", "ks3", host, LESSON, "/"))
    assert (read is not None) is reads
    if read:
        assert [one.category for one in read("free spins")] == ["gambling"]
