"""In a real Chromium: a pupil meets the block page and asks; her headteacher approves on a phone; the page opens.

Chromium goes through a group's proxy listener, with loopback addresses not left out, and trusts the box's authority the way a
school's devices do: as an installed certificate, not by a switch that ignores errors.
"""

import pytest
from playwright.sync_api import expect

from .browsing import PHONE, keep, sign_in
from .conftest import until

pytestmark = pytest.mark.browser


def test_from_block_page_to_open_page(box, browser):
    pupil = browser("hillview/ks3")
    address = box.https("crazygames.com", "/maths/fractions")
    pupil.goto(address)
    expect(pupil.get_by_role("heading", level=1)).to_contain_text("blocked")
    keep(pupil, "block-page-ks3")
    pupil.get_by_label("What do you need it for?").fill("Fractions race for our maths club")
    pupil.get_by_label("For which lesson or class?").fill("8B")
    pupil.get_by_role("button", name="Ask").click()
    expect(pupil.get_by_text("Reference")).to_be_visible()
    keep(pupil, "asked")

    head = browser(size=PHONE)
    sign_in(head, box, "hillview-head")
    keep(head, "today-head")

    def waiting():
        head.goto(f"{box.ready['admin']}/requests")
        return head.get_by_role("link", name="crazygames.com").count()

    until(waiting, 10, "the request is at the desk")
    keep(head, "requests")
    head.get_by_role("link", name="crazygames.com").first.click()
    expect(head.get_by_text("Fractions race for our maths club")).to_be_visible()
    expect(head.get_by_text("crazygames.com/maths/fractions").first).to_be_visible()
    assert head.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out on a phone"
    keep(head, "approve")
    head.get_by_label("code").first.fill(box.code("hillview-head"))
    head.get_by_role("button", name="Approve").click()
    expect(head.get_by_text("In force on").first).to_be_visible()
    keep(head, "approved")

    def opens():
        pupil.goto(address)
        return pupil.get_by_role("heading", level=1).text_content() == "This is crazygames.com/maths/fractions"

    until(opens, 5, "the page opens for the pupil")
    pupil.goto(box.https("crazygames.com", "/shooting"))
    expect(pupil.get_by_role("heading", level=1)).to_contain_text("blocked")
    other = browser("hillview/ks4")
    other.goto(address)
    expect(other.get_by_role("heading", level=1)).to_contain_text("blocked")


def test_the_youngest_meet_a_picture_and_few_words(box, browser):
    pupil = browser("oakfield/ks1")
    pupil.goto(box.https("crazygames.com"))
    expect(pupil.get_by_text("Tell your teacher")).to_be_visible()
    keep(pupil, "block-page-ks1")


@pytest.mark.parametrize(
    "page",
    [
        "/",
        "/requests",
        "/requests/new",
        "/rules",
        "/changes",
        "/log",
        "/why",
        "/lists",
        "/people",
        "/standing",
        "/you",
        "/access",
        "/coverage",
        "/help",
    ],
)
def test_every_page_of_the_head_fits_a_phone_and_a_desk(box, browser, page):
    phone = browser(size={"width": 320, "height": 700})
    sign_in(phone, box, "hillview-head")
    said = phone.goto(f"{box.ready['admin']}{page}")
    assert said.status == 200
    assert phone.get_by_role("heading", level=1).count() == 1
    wide = phone.evaluate(
        "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > window.innerWidth + 1 && !e.closest('[tabindex], .scroll, table')).map(e => e.tagName + '.' + e.className)"
    )
    assert wide == []
    keep(phone, f"phone{page.replace('/', '-')}")
