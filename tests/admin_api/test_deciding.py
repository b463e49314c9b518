"""Beside a decision: how the past is counted, making a request smaller, questions, and like requests together."""

import json
import re
from datetime import date
from threading import Event as Flag

import pytest

from admin_api.past import Counts, past, preview
from change_control.changes import CategoryWish, SiteWish
from change_control.hour_wishes import TimetableWish
from change_control.tables import ChangeRow
from change_control.verify import verify_installation
from policy.rules import Action, Window

WIDE = SiteWish("crazygames.com", Action.ALLOW)


def timetable(world):
    change = world.ask(
        "adam",
        TimetableWish("Lessons", (Window((0, 1, 2, 3, 4), "09:00", "15:15"),), ((date(2026, 9, 3), date(2026, 12, 18)),)),
    )
    assert world.browser("helen").sign("approve", change).status_code == 303


def pages(world, count=14, path="/maths/%d", hours_ago=24):
    world.events(*(world.event(3600 * hours_ago + n, path=path % n, person=f"p-{n % 3}") for n in range(count)))


def words_of(html: str) -> int:
    """The words that say what the change does: the heading, what changes, and the past."""
    html = re.sub(r"(?s)<details.*?</details>", " ", html)
    said = (
        re.search(r"(?s)<h1>(.*?)</h1>", html)[1] + re.search(r'(?s)<section aria-labelledby="does">(.*?)</section>', html)[1]
    )
    said = re.sub(r'(?s)<span class="hidden">.*?</span>', " ", said)
    return len(re.sub(r"<[^>]+>", " ", said).replace("→", " ").split())


def test_the_page_says_it_in_few_words_and_is_light(world):
    timetable(world)
    pages(world)
    change = world.ask("adam", WIDE)
    answer = world.browser("helen").get(f"/requests/{change}")
    assert "let through 14 requests by 3 people, all in Years 3-6. Nobody else is affected." in answer.text
    assert words_of(answer.text) < 60
    static = sum(
        len(world.browser("helen").get(path).content) for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text)
    )
    assert len(answer.content) + static < 100_000


def test_the_smallest_rule_that_would_do_is_offered_and_taken_with_one_tap(world):
    timetable(world)
    pages(world)
    change, helen = world.ask("adam", WIDE), world.browser("helen")
    shown = helen.get(f"/requests/{change}").text
    assert "Only crazygames.com/maths: nothing else of it was asked for" in shown
    assert "Only Years 3-6: nobody else asked for it" in shown
    assert "Only during Lessons (Monday to Friday 09:00 to 15:15): 14 of 14 requests fell into it" in shown
    before = world.digest(change)
    assert helen.post(f"/requests/{change}/narrow", {"proposal": "all"}).headers["location"].endswith("said=narrowed")
    assert world.digest(change) != before
    shown = helen.get(f"/requests/{change}").text
    assert "Years 3-6 may use crazygames.com/maths during Lessons" in shown
    assert "Asked for was: Everyone at Oakfield Primary may use crazygames.com" in shown
    assert "Smaller would do" not in shown
    stale = helen.sign("approve", change, digest=before)
    assert stale.status_code == 409
    assert helen.sign("approve", change).status_code == 303
    assert world.state(change) == "in_force"
    with world.store.read() as session:
        verify_installation(session, world.data)


def test_she_makes_it_smaller_in_her_own_words_but_never_larger(world):
    change = world.ask("adam", SiteWish("crazygames.com/maths", Action.ALLOW, ("ks2", "staff")))
    helen = world.browser("helen")
    for larger in (
        {"groups": "ks1"},
        {"groups": "*"},
        {"groups": "ks2", "site": "crazygames.com"},
        {"groups": "ks2", "site": "poki.com/maths"},
        {"groups": "ks2", "site": "crazygames.com/mathsandmore"},
    ):
        answer = helen.post(f"/requests/{change}/narrow", larger)
        assert answer.status_code == 422, larger
        assert "only be made smaller" in answer.text
    smaller = {"groups": "ks2", "site": "crazygames.com/maths/year6", "until": "2026-11-27", "action": "warn"}
    assert helen.post(f"/requests/{change}/narrow", smaller).status_code == 303
    shown = helen.get(f"/requests/{change}").text
    assert "Years 3-6 will see a warning before crazygames.com/maths/year6 until the end of Friday 27 November 2026" in shown
    assert helen.post(f"/requests/{change}/narrow", {"groups": "ks2", "until": "2026-12-11"}).status_code == 422


@pytest.mark.parametrize("username", ["adam", "dora", "tom", "sara", "carl", "laura", "gita", "nora"])
def test_only_who_decides_makes_it_smaller(world, username):
    change = world.ask("adam", WIDE)
    assert world.browser(username).post(f"/requests/{change}/narrow", {"groups": "ks2"}).status_code == 403
    assert world.access(outcome="refused")[-1].act in {"approve", "delegated"}


def test_nobody_makes_her_own_request_smaller(world):
    change = world.ask("helen", WIDE)
    assert world.browser("helen").post(f"/requests/{change}/narrow", {"groups": "ks2"}).status_code == 403


def test_a_question_is_answered_by_who_asked_and_stays_on_the_record(world):
    change, helen, adam = world.ask("adam", WIDE), world.browser("helen"), world.browser("adam")
    assert helen.post(f"/requests/{change}/question", {"question": "Which lesson is it for?"}).status_code == 303
    assert "Helen</strong> asks: Which lesson is it for?" in adam.get(f"/requests/{change}").text
    assert "asks you something" in adam.get("/?school=oakfield").text
    assert world.browser("tom").post(f"/requests/{change}/answer", {"answer": "mine"}).status_code == 403
    assert adam.post(f"/requests/{change}/answer", {"answer": "Maths on Friday, 6B"}).status_code == 303
    assert "Adam</strong> answers: Maths on Friday, 6B" in helen.get(f"/requests/{change}").text
    assert adam.post(f"/requests/{change}/answer", {"answer": "and more"}).status_code == 422  # there is no question left
    assert adam.post(f"/requests/{change}/question", {"question": "And you?"}).status_code == 403
    assert world.browser("dora").post(f"/requests/{change}/question", {"question": "Is it free?"}).status_code == 303
    kinds = [json.loads(text)["kind"] for text in world.browser("helen").api("GET", "/ledger").json()["entries"]]
    assert (kinds.count("change.questioned"), kinds.count("change.answered")) == (2, 1)
    with world.store.read() as session:
        verify_installation(session, world.data)
    helen.post(f"/requests/{change}/refuse", {"reason": "not now"})
    assert helen.post(f"/requests/{change}/question", {"question": "Too late?"}).status_code == 409


def test_like_requests_are_signed_together_all_or_none(world):
    helen = world.browser("helen")
    asked = [world.ask("adam", SiteWish(f"maths{n}.example", Action.ALLOW, ("ks2",))) for n in range(3)]
    other = world.ask("adam", SiteWish("poki.com", Action.BLOCK, ("ks2",)))
    own = world.ask("helen", SiteWish("own.example", Action.ALLOW, ("ks2",)))
    assert "requests like this wait: decide them together" in helen.get(f"/requests/{asked[0]}").text
    shown = helen.get(f"/requests/{asked[0]}/like").text
    assert [f'value="{one}" checked' in shown for one in (*asked, other, own)] == [True, True, True, False, False]
    digests = {f"digest-{one}": world.digest(one) for one in (*asked, other)}

    def sign(*changes, **more):
        world.clock.forward(seconds=30)
        return helen.post(f"/requests/{asked[0]}/like", {"change": changes, "code": world.code("helen"), **digests, **more})

    assert sign(*asked, other).status_code == 409
    assert sign(*asked, **{f"digest-{asked[2]}": "0" * 64}).status_code == 409
    assert sign(*asked, code="000000").status_code == 403
    assert sign().status_code == 422
    assert [world.state(one) for one in asked] == ["requested"] * 3
    assert sign(*asked[:2]).headers["location"] == "/requests?said=batch"
    assert [world.state(one) for one in asked] == ["in_force", "in_force", "requested"]
    with world.store.read() as session:
        verify_installation(session, world.data)


def test_a_count_that_takes_longer_than_a_page_goes_on_and_says_how_far_it_is(world):
    go_on = Flag()

    def row(days, times, person):
        at = world.clock.at.timestamp() - days * 86_400
        return ("ks2", "crazygames.com", at, "/", True, times, person, person, False)

    class Slow:
        def traffic(self, school, since, until, *, through):
            yield [row(7, 3, "p-1")]
            go_on.wait(20)
            yield [row(14, 2, "p-2")]

    change, counts = world.ask("adam", WIDE), Counts()
    with world.store.read() as session:
        diff = json.loads(session.get_one(ChangeRow, change).diff)

    def look(patience):
        given = (world.live.snapshot, world.office.dictionaries.objects, Slow(), "oakfield", diff, world.office.now(), counts)
        return preview(*given, patience=patience)

    assert look(0.01).percent < 100
    go_on.set()
    found = look(20)
    assert (found.percent, found.impact.opened, found.impact.opened_for) == (100, 5, 2)
    counts.close()


def test_a_log_that_breaks_while_counting_is_said(world):
    class Broken:
        def traffic(self, school, since, until, *, through):
            raise OSError("gone")
            yield

    counts = Counts()
    found = preview(
        world.live.snapshot, world.office.dictionaries.objects, Broken(), "oakfield",
        CategoryWish("games", Action.ALLOW).diff(9, world.live.snapshot.schools["oakfield"], _taxonomy(world)),
        world.office.now(), counts,
    )  # fmt: skip
    assert found.impact is None
    assert "could not be counted" in found.why_not


def _taxonomy(world):
    snapshot = world.live.snapshot
    return snapshot.dictionaries[snapshot.schools["oakfield"].dictionary].taxonomy


def test_what_else_a_page_loads_is_named_with_what_becomes_of_it(world):
    at = [3600 * n for n in (2, 3, 4)]
    world.events(
        *(world.event(ago, group="staff", person="p-9", action="allow", reason="school_site") for ago in at),
        *(
            world.event(ago, group="staff", person="p-9", action="allow", kind="resource", host="poki.com", path="")
            for ago in at
        ),
    )
    change = world.ask("adam", SiteWish("crazygames.com", Action.ALLOW, ("ks2",)))
    shown = world.browser("helen").get(f"/requests/{change}").text
    assert re.search(r"Its pages also load poki.com <span[^>]*>Blocked", shown)


def test_what_is_no_name_is_left_out_and_names_are_read_as_rules_name_them(world):
    world.events(*(world.event(10 + n, host=host, action="block") for n, host in enumerate(("POKI.com", "..", "bbc.co.uk"))))
    found = [row for rows in past(world.log, world.live.snapshot, "oakfield", world.office.now()) for row in rows]
    assert [row[1] for row in found] == ["poki.com", "bbc.co.uk"]


@pytest.mark.parametrize("wish", [CategoryWish("games", Action.ALLOW), SiteWish("poki.com", Action.BLOCK)])
def test_what_has_no_part_of_a_site_or_opens_nothing(world, wish):
    change, helen = world.ask("adam", wish), world.browser("helen")
    answer = helen.post(f"/requests/{change}/narrow", {"groups": "ks2"})
    assert helen.get(f"/requests/{change}").status_code == 200
    if isinstance(wish, CategoryWish):
        assert "Years 3-6 may use sites in the category Games" in helen.get(f"/requests/{change}").text
    else:
        assert answer.status_code == 422
