"""Taking a change of the dictionary back when others have come after it: what goes, what stays, and what proves it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.grounds import check_authority, undone
from policy.proof import ProofRefused, canonical, digest
from policy.rebuild import rebuilt, takes_back


def text(lists, **other):
    refs = [{"id": name, "digest": version} for name, version in sorted(lists.items())]
    return canonical({"index": digest(repr(lists)), "taxonomy": "t1", "engines": "e1", "lists": refs, **other})


def lists(fields):
    return {one["id"]: one["digest"] for one in fields["lists"]}


@pytest.mark.parametrize(
    ("before", "after", "now", "wanted"),
    [
        ({"a": "1"}, {"a": "1", "b": "1"}, {"a": "2", "b": "1", "c": "1"}, {"a": "2", "c": "1"}),  # it came, so it goes
        ({"a": "1"}, {"a": "2"}, {"a": "2", "c": "1"}, {"a": "1", "c": "1"}),  # its older version comes back
        ({"a": "1"}, {"a": "2"}, {"a": "3"}, {"a": "3"}),  # someone signed a newer one since
        ({"a": "1", "b": "1"}, {"a": "1"}, {"a": "1", "c": "1"}, {"a": "1", "b": "1", "c": "1"}),  # it went, so it comes
        ({"a": "1"}, {"a": "1", "b": "1"}, {"a": "1"}, {"a": "1"}),  # gone already
    ],
)
def test_what_is_still_as_the_change_brought_it_goes_back(before, after, now, wanted):
    assert lists(rebuilt(text(before), text(after), text(now))) == wanted


def test_categories_go_back_and_the_sealed_list_stays():
    found = rebuilt(text({}), text({}, taxonomy="t2", sealed="s"), text({}, taxonomy="t2", sealed="s", model="m"))
    assert (found["taxonomy"], found["sealed"], found["model"]) == ("t1", "s", "m")
    found = rebuilt(text({}), text({}, taxonomy="t2"), text({}, taxonomy="t3"))
    assert found["taxonomy"] == "t3"


BEFORE, AFTER, NOW = text({"a": "1"}), text({"a": "1", "b": "1"}), text({"a": "2", "b": "1"})
WANTED = text({"a": "2"})
TAKEN = {"kind": "dictionary", "change": 4, "add": {}, "remove": {}, "set": {"dictionary": [digest(BEFORE), digest(AFTER)]}}


def back(wanted=WANTED, **other):
    texts = (BEFORE, AFTER, NOW, wanted)
    return {
        **undone(TAKEN),
        "set": {"dictionary": [digest(NOW), digest(wanted)]},
        "dictionaries": {digest(each): each for each in texts},
        **other,
    }


def test_a_diff_that_rebuilds_proves_it_by_itself():
    assert takes_back(TAKEN, back())
    assert takes_back(TAKEN, json.loads(canonical(back())))


@pytest.mark.parametrize(
    "diff",
    [
        back(text({"a": "2", "b": "1"})),  # it stays
        back(text({})),  # another list goes as well
        back(text({"a": "3"})),
        back(text({"a": "2"}, taxonomy="t2")),
        back(text({"a": "2"}, sealed="s")),
        back(change=5),
        back(kind="dictionary"),
        back(add={"site_rules": [{"id": "s1"}]}),
        back(more="than that"),
        back(set={"dictionary": [digest(NOW), digest(WANTED)], "authority": ["a", "b"]}),
        back(dictionaries={digest(each): each for each in (BEFORE, AFTER, NOW)}),
        back(dictionaries={digest(each): each + " " for each in (BEFORE, AFTER, NOW, WANTED)}),
        back(dictionaries={digest(each): each for each in (BEFORE, AFTER, NOW, WANTED, "more")}),
        undone(TAKEN),
        {},
    ],
)
def test_what_does_more_or_less_proves_nothing(diff):
    assert not takes_back(TAKEN, diff)


def test_what_took_more_than_the_dictionary_cannot_be_rebuilt_away():
    assert not takes_back({**TAKEN, "add": {"site_rules": [{"id": "s1"}]}}, back())


@given(st.recursive(st.none() | st.integers() | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each)))
def test_no_diff_of_a_stranger_raises(value):
    assert not takes_back(TAKEN, {"set": value, "dictionaries": value})
    assert not takes_back(TAKEN, back(dictionaries=value))


def test_a_lapse_that_rebuilds_is_proven_by_the_worker():
    from .test_proof import PEOPLE, made, mandate, mandated

    let_through = mandated(n=8, diff=TAKEN)
    entry = made(9, "change.lapsed", diff=back(), rests_on={"mandate": 5, "of": 8})
    known = {**PEOPLE, 5: mandate(), 8: let_through}
    check_authority(entry, known)
    with pytest.raises(ProofRefused, match="does not undo"):
        check_authority({**entry, "diff": back(text({}))}, known)
