"""Nobody answers: told along the rota, the DSL, the headteacher and the LA, in a real Chromium, under a clock that the story moves.

The desk, what the recorder's process does beside recording, and the post are the product's own, built with the story's clock.
"""

from contextlib import closing
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from admin_api import outbox
from admin_api.post import MailServer, Post
from appliance.config import AdminConfig, Config
from appliance.reviewing import Reviewing
from change_control.tables import PersonRow
from monitoring import alarms, devices
from policy.event import Kind

from ..admin_api.conftest import built, shipped  # noqa: F401, TID252 - fixtures of the desk's own tests
from .browsing import PHONE, keep
from .test_access import found_by_axe
from .test_review import WIDE
from .test_time import chromium, served  # noqa: F401 - the desk under a clock

pytestmark = pytest.mark.browser
WRITTEN_TO = {"olive": "olive", "sara": "sara", "helen": "helen", "carl": "carl", "laura": "laura"}


@pytest.fixture
def box(served, mailbox, tmp_path):  # noqa: F811
    """The desk, its recorder's other work, and its post; all by one clock."""
    world = served.world
    with world.store.write() as session:
        for username, name in WRITTEN_TO.items():
            person = session.scalars(select(PersonRow).where(PersonRow.username == username)).one()
            outbox.set_address(session, person.id, f"{name}@school.example")
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_text("pass word\n")
    server = MailServer(
        "127.0.0.1", mailbox.port, "Schoolgate <filter@school.example>", "starttls", "filter", str(tmp_path / "secret"),
        str(mailbox.pem),
    )  # fmt: skip
    config = Config(data=world.data, admin=AdminConfig(public_url=served.url))
    with closing(Reviewing(config, world.store, world.clock)) as review:
        review.refresh()
        post = Post(world.store, server, {}, now=world.clock)

        def pass_(**time: float) -> list[str]:
            """Time goes by; who is written to then."""
            world.clock.forward(**time)
            before = len(mailbox.got)
            while review.captures():
                pass
            review.alarms()
            post.look()
            return sorted({to.partition("@")[0] for receivers, _ in mailbox.got[before:] for to in receivers})

        served.pass_, served.review = pass_, review
        yield served


def searched(box, words, group="ks2", **said):
    world = box.world
    usual = {"host": "www.google.com", "action": "restrict", "category": "search", "person": "p-zoe"}
    world.events(world.event(1, kind=Kind.SEARCH, term=words, group=group, **{**usual, **said}))


def test_nobody_has_it_so_the_rota_the_dsl_the_head_and_the_la_are_told_in_turn(box, mailbox):
    helen = box.page("helen", "/escalation", PHONE)
    friday = helen.get_by_role("group", name="Friday")  # which the story's day is
    friday.get_by_label("Olive", exact=False).check()
    keep(helen, "rota-phone")
    helen.get_by_role("button", name="Keep this plan").click()
    expect(helen.get_by_text("The plan for telling people is kept")).to_be_visible()

    searched(box, "i want to end my life tonight")
    told = [box.pass_(seconds=1), box.pass_(minutes=15), box.pass_(minutes=6), box.pass_(minutes=21), box.pass_(minutes=21)]
    assert told == [["olive"], [], ["sara"], ["helen"], ["laura"]]
    *_, (_, far) = mailbox.got
    assert "telephone" in far.get_content()
    assert not any("p-zoe" in letter.as_string() or "end my life" in letter.as_string() for _, letter in mailbox.got)

    helen = box.page("helen", "/escalation", PHONE)
    expect(helen.get_by_text("nobody has it yet")).to_be_visible()
    keep(helen, "escalation-phone")
    assert (helen.evaluate(WIDE), found_by_axe(helen, helen.url)) == ([], [])
    sara = box.page("sara", "/captures")
    expect(sara.get_by_role("alert").first).to_contain_text("nobody has said that they have it")
    sara.get_by_role("button", name="I have it").first.click()
    assert box.pass_(hours=4) == []
    helen = box.page("helen", "/escalation", PHONE)
    expect(helen.get_by_text("nobody has it yet")).to_have_count(0)


def test_what_a_member_of_staff_does_goes_past_colleagues_and_out_of_hours_as_the_school_set(box):
    helen = box.page("helen", "/escalation")
    helen.get_by_label("Out of these hours").select_option("morning")
    helen.get_by_role("button", name="Keep this plan").click()
    searched(box, "how to kill myself", group="staff", person="p-teacher")
    assert [box.pass_(seconds=1), box.pass_(minutes=21), box.pass_(minutes=21)] == [["helen"], ["carl"], ["laura"]]
    helen = box.page("helen", "/captures")
    helen.get_by_role("button", name="I have it").first.click()
    box.world.clock.at = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)  # Friday night
    searched(box, "how to kill myself")
    assert [box.pass_(seconds=1), box.pass_(hours=40), box.pass_(hours=20)] == [[], [], ["sara"]]
    olive = box.page("olive", "/captures")
    assert olive.get_by_text("p-teacher").count() == 0
    assert olive.locator(".line").count() == 1


def test_on_a_saturday_and_in_the_holidays_it_goes_where_the_school_set(box):
    helen = box.page("helen", "/escalation", PHONE)
    helen.get_by_label("Out of these hours").select_option("head")
    helen.get_by_label("At weekends and in holidays").select_option("at_once")
    helen.get_by_role("group", name="Saturday").get_by_label("Olive", exact=False).check()
    helen.get_by_role("button", name="Keep this plan").click()
    helen.get_by_text("Add a holiday", exact=False).click()
    helen.get_by_label("First day").fill("21/12/2026")
    helen.get_by_label("Last day").fill("01/01/2027")
    helen.get_by_role("group", name="Told first on these days").get_by_label("Sara", exact=False).check()
    helen.get_by_role("button", name="Add these dates").click()
    expect(helen.get_by_text("21 December 2026 to 1 January 2027", exact=False)).to_be_visible()
    keep(helen, "rota-holidays-phone")
    assert (helen.evaluate(WIDE), found_by_axe(helen, helen.url)) == ([], [])
    for at, who in (
        (datetime(2026, 11, 21, 11, 0, tzinfo=UTC), ["olive"]),  # a Saturday
        (datetime(2026, 12, 18, 21, 0, tzinfo=UTC), ["helen"]),  # a Friday night
        (datetime(2026, 12, 23, 11, 0, tzinfo=UTC), ["sara"]),  # a Wednesday in the holidays
    ):
        box.world.clock.at = at
        searched(box, "how to kill myself", person=f"p-{at.day}")
        assert box.pass_(seconds=1) == who, at
        for one in alarms.open_(box.world.log, "oakfield", ("pupil",)):
            alarms.acknowledge(box.world.log, "oakfield", one.id, ("pupil",), person="sara", now=at)


def test_what_is_about_the_headteacher_goes_past_her_to_the_chair(box):
    seen = devices.Seen("oakfield", "d-1", "02:00:00:00:00:01", "laptop", ("10.0.0.4",), "radius", "p-head", "helen", 1e9)
    devices.take(box.world.log, [seen])  # she signed in to the network under the name that she has at the desk
    box.world.clock.forward(minutes=2)
    box.review.refresh()
    searched(box, "how to kill myself", group="staff", person="p-head")
    assert [box.pass_(seconds=1), box.pass_(minutes=21)] == [["carl"], ["laura"]]
    for username, lines in (("helen", 0), ("sara", 0), ("carl", 1)):
        assert box.page(username, "/captures?school=oakfield").locator(".line").count() == lines, username


def test_nobody_looks_for_two_school_days_and_is_asked_why(box):
    searched(box, "buy weed near me")
    box.pass_(seconds=1)
    box.world.clock.at = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)  # Wednesday: nobody looked on Monday or Tuesday
    box.review.daily()
    assert [box.pass_(seconds=1), box.pass_(minutes=21), box.pass_(minutes=21)] == [["olive", "sara"], ["helen"], ["laura"]]
    olive = box.page("olive", "/constancy", PHONE)
    expect(olive.get_by_text("Nobody has looked", exact=False).first).to_be_visible()
    keep(olive, "constancy-nobody-looked-phone")
    olive = box.page("olive", "/captures")
    olive.get_by_role("button", name="I have it").first.click()
    box.world.clock.forward(days=1)
    box.review.daily()
    assert box.pass_(seconds=1) == []  # somebody looked; the gap was told of once
