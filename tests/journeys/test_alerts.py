"""What cannot wait: told within five seconds, handed on until somebody has it, brought to its end, deleted in its time.

Where a story needs hours
to pass, what is due is moved to the past, as the clock would have.
"""

import contextlib
import re
import sqlite3
import time

import pytest
from playwright.sync_api import expect

from admin_api import outbox
from change_control.store import Store
from change_control.tables import PersonRow

from .conftest import until
from .test_browser import PHONE, browser, keep, playwright, sign_in
from .test_review import google

pytestmark = pytest.mark.browser
__all__ = ["browser", "playwright"]
TOLD = {"hillview-coordinator": "omar", "hillview-dsl": "simone", "hillview-head": "head", "birchwood-officer": "officer"}


@pytest.fixture(scope="module", autouse=True)
def addresses(box):
    """Where each is written to."""
    store = Store(f"sqlite:///{box.data / 'desk.sqlite3'}")
    with store.write() as session:
        for username, name in TOLD.items():
            person = session.query(PersonRow).filter(PersonRow.username == username).one()
            outbox.set_address(session, person.id, f"{name}@school.example")
    store.close()


def in_log(box, words: str, *values) -> list[tuple]:
    """A word with the log's own database: for what only time would do."""
    with contextlib.closing(sqlite3.connect(box.data / "log.sqlite3", timeout=20)) as connection, connection:
        return list(connection.execute(words, values))


def test_something_serious_is_in_the_mail_and_on_an_open_page_within_five_seconds(
    box, browser, posted, siem, record_property
):
    dsl = browser("dsl")
    sign_in(dsl, box, "hillview-dsl")
    dsl.goto(f"{box.ready['admin']}/help")  # any page will do
    before = len(posted.to("simone@school.example"))
    asked = time.monotonic()
    google(box, "how to kill myself", "127.20.3.5")
    until(lambda: len(posted.to("simone@school.example")) > before, 30, "the e-mail")
    mailed = time.monotonic() - asked
    expect(dsl.locator("#alarms")).to_contain_text("Something serious was captured", timeout=30_000)
    seen = time.monotonic() - asked
    keep(dsl, "alarm-on-an-open-page")
    record_property("seconds until the e-mail and until the page", f"{mailed:.1f} {seen:.1f}")
    print(f"told by e-mail after {mailed:.2f} s, on the open page after {seen:.2f} s")
    assert max(mailed, seen) < 5
    letter = posted.to("simone@school.example")[-1]
    text = letter.get_content()
    assert "127.20.3.5" not in text
    assert "kill" not in text
    # the link opens the capture, and "I have it" ends the telling
    dsl.goto(re.search(r"https://\S+", text)[0])
    expect(dsl.get_by_role("heading", level=1)).to_contain_text("how to kill myself")
    dsl.get_by_role("button", name="I have it").click()
    expect(dsl.get_by_role("button", name="I have it")).to_have_count(0)
    # and the line went out to whoever gets the log, under a pseudonym
    until(lambda: any("how to kill myself" in one for one in siem.got), 20, "the line is at the syslog server")
    assert "127.20.3.5" not in "".join(siem.got)


def test_nobody_has_it_so_the_rota_the_dsl_the_head_and_the_la_are_told_in_turn(box, browser, posted):
    head = browser("head", size=PHONE)
    sign_in(head, box, "hillview-head")
    head.goto(f"{box.ready['admin']}/escalation")
    rota = head.get_by_role("group", name=re.compile("day$"))
    for n in range(5):
        rota.nth(n).get_by_label("Omar", exact=False).check()
    keep(head, "rota-phone")
    head.get_by_role("button", name="Keep this plan").click()
    in_log(box, "UPDATE settings SET value = replace(value, '\"17:00\"', '\"23:59\"') WHERE name = 'escalation'")
    count = {name: len(posted.to(f"{name}@school.example")) for name in TOLD.values()}

    def told(name: str) -> bool:
        return len(posted.to(f"{name}@school.example")) > count[name]

    google(box, "i want to end my life tonight", "127.20.4.9")
    order = []
    for name in ("simone", "head", "officer"):
        until(lambda name=name: told(name), 30, f"{name} is told")
        order.append([other for other in TOLD.values() if told(other)])
        in_log(box, "UPDATE alarms SET due = due - 1500000000 WHERE acknowledged_at IS NULL")
    assert order[1:] == [[*order[0], "head"], [*order[0], "head", "officer"]]
    assert "telephone" in posted.to("officer@school.example")[-1].get_content()
    head.goto(f"{box.ready['admin']}/escalation")
    expect(head.get_by_text("nobody has it yet")).to_be_visible()
    keep(head, "escalation-phone")
    head.goto(f"{box.ready['admin']}/captures")
    head.get_by_role("button", name="I have it").first.click()
    head.goto(f"{box.ready['admin']}/escalation")
    expect(head.get_by_text("nobody has it yet")).to_have_count(0)
