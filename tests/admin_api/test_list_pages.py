"""Lists at the desk: a site's card, corrections that nobody has to wait for, categories explained, rules for unknown names."""

from dataclasses import replace

import pytest

from admin_api import words
from admin_api.routes.list_name import Card, Say, report
from category_lists.classifier import shipped
from change_control import list_service
from change_control.lifecycle import State
from policy.decide import Reason
from policy.rules import write


def number(answer):
    assert answer.status_code == 303, answer.text
    return int(answer.headers["location"].split("/")[2].split("?")[0])


@pytest.fixture
def guessing(world):
    """The same world, deciding with the model of names that ships."""
    made = world.office.dictionaries
    with world.store.read() as session:
        now = world.office.book(session, "oakfield").in_force().document.dictionary
    wanted = made.objects.put(write(replace(made.named(now), model=made._shipped_model())))
    from change_control.changes import ListChange, ListsWish

    change = world.ask("tom", ListsWish(wanted, (ListChange("x", "games", "1", "0" * 64, 1),)))
    assert world.browser("helen").sign("approve", change).status_code == 303
    return world


def test_every_category_is_explained_with_what_each_age_gets(world):
    page = world.browser("gita").get("/lists/categories").text
    for said in (
        "Does not cover",
        "Talk to Frank",
        "UKSIC gambling",
        "not yet appropriate filtering",
        "How over-blocking is avoided",
    ):
        assert said in page
    assert 'href="/lists/categories' in world.browser("gita").get("/lists").text


def test_the_card_of_a_name_that_no_list_knows_says_what_a_program_guesses(guessing):
    tom, helen = guessing.browser("tom"), guessing.browser("helen")
    page = tom.get("/lists/name?site=bestcasino77.com").text
    assert shipped().propose("bestcasino77.com")
    assert "it may be Gambling" in page
    assert "It decides nothing unless" in page
    assert "Yes." in helen.get("/why?site=bestcasino77.com&group=ks2").text
    change = number(
        tom.post(
            "/requests/new",
            {"kind": "unknown", "sign": "looks_harmful", "action": "block", "groups": "ks2", "reason": "it is mostly right"},
        )
    )
    assert helen.sign("approve", change).status_code == 303
    why = helen.get("/why?site=bestcasino77.com&group=ks2").text
    assert "No." in why
    assert "its name looks like Gambling" in why
    assert "whose names look like something that is closed" in helen.get("/rules").text
    asked = {"site": "bestcasino77.com", "category": "education", "reason": "our maths game"}
    assert helen.sign("approve", number(tom.post("/lists/name", asked))).status_code == 303
    assert "Yes." in helen.get("/why?site=bestcasino77.com&group=ks2").text
    assert "it may be" not in tom.get("/lists/name?site=bestcasino77.com").text


def test_corrections_wait_for_nothing_but_the_headteacher(world):
    tom, helen = world.browser("tom"), world.browser("helen")
    with world.store.write() as session:
        who, signer = (
            world.registry.signed_in(session, world.cookie("helen")),
            world.registry.signer(session, world.cookie("helen"), "oakfield"),
        )
        world.office.sign_mandate(
            session, "oakfield", who, lambda terms: signer.sign("mandate", "oakfield", terms),
            kinds=["dictionary"], roles=["technician"], until=world.clock.at.replace(year=2027, month=6),
        )  # fmt: skip
    version = world.list_version("games", "freshgames.example\n", "hand")
    with world.store.write() as session:
        taken = [list_service.Taken(version)]
        first = list_service.accept(world.office, session, "oakfield", taken, by=None, roles=("technician",)).change.id
    world.publish()
    assert world.state(first) == State.PROVISIONAL
    asked = [
        number(tom.post("/lists/name", {"site": site, "category": "education", "reason": "a lesson"}))
        for site in ("poki.com", "crazygames.com")
    ]
    assert helen.sign("approve", asked[0]).status_code == 303
    again = helen.sign("approve", asked[1])  # asked for on the lists as they were: read once more, then signed
    assert again.status_code == 409
    assert "read it once more" in again.text
    assert helen.sign("approve", asked[1]).status_code == 303
    assert helen.sign("reverse", first).status_code == 303
    assert "No list knows it" in tom.get("/lists/name?site=freshgames.example").text
    assert "Education" in tom.get("/lists/name?site=poki.com").text


def test_every_reason_has_its_words():
    assert set(words.REASONS) >= set(Reason)


def test_what_to_tell_whoever_makes_a_list():
    say = Say("Gambling", "ut1-gambling", "2026-11-20", "2026-11-20", "maths.example", "https://makers.example", "Makers")
    card = Card("maths.example/fractions", (say,), (), 0, 0)
    assert report(card, say) == (
        "maths.example in your list ut1-gambling (2026-11-20) covers maths.example/fractions, which is not Gambling."
    )
