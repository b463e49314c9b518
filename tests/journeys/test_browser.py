"""In a real Chromium: a pupil meets the block page and asks; her headteacher approves on a phone; the page opens.

Chromium goes through a group's proxy listener, with loopback addresses not left out, and trusts the box's authority the way a
school's devices do: as an installed certificate, not by a switch that ignores errors.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect, sync_playwright

from .conftest import until

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
PHONE = {"width": 390, "height": 844}
QUIET = [  # nothing that asks the internet for things of Chromium's own
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURES = os.environ.get("SCHOOLGATE_SCREENSHOTS")  # a folder to keep the pictures in, to look at


@pytest.fixture(scope="module")
def playwright() -> Playwright:
    with sync_playwright() as made:
        yield made


@pytest.fixture
def browser(playwright, box, tmp_path):
    """Opens browsers that trust the box's authority; (proxy of a group or None, size) -> context."""
    home = tmp_path / "home"
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    subprocess.run(["certutil", "-d", f"sql:{database}", "-N", "--empty-password"], check=True, capture_output=True)
    trust = ["certutil", "-d", f"sql:{database}", "-A", "-t", "C,,", "-n", "Schoolgate", "-i", box.ca]
    subprocess.run(trust, check=True, capture_output=True)
    opened: list[BrowserContext] = []

    def open_(name: str, group: str | None = None, size: dict | None = None) -> Page:
        proxy = {"server": f"http://{box.ready['proxy_groups'][group]}", "bypass": "<-loopback>"} if group else None
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / name),
            executable_path=CHROMIUM,
            headless=True,
            args=QUIET,
            env={**os.environ, "HOME": str(home)},
            proxy=proxy,
            viewport=size or {"width": 1280, "height": 900},
            locale="en-GB",
            timezone_id="Europe/London",
        )
        opened.append(context)
        return context.pages[0]

    yield open_
    for context in opened:
        context.close()


def keep(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def sign_in(page: Page, box, username: str) -> None:
    account = box.account(username)
    page.goto(f"{box.ready['admin']}/sign-in")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(account["password"])
    page.get_by_label("code").fill(box.code(username))
    keep(page, "sign-in")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_from_block_page_to_open_page(box, browser):
    pupil = browser("pupil", "hillview/ks3")
    address = box.https("crazygames.com", "/maths/fractions")
    pupil.goto(address)
    expect(pupil.get_by_role("heading", level=1)).to_contain_text("blocked")
    keep(pupil, "block-page-ks3")
    pupil.get_by_label("What do you need it for?").fill("Fractions race for our maths club")
    pupil.get_by_label("For which lesson or class?").fill("8B")
    pupil.get_by_role("button", name="Ask").click()
    expect(pupil.get_by_text("Reference")).to_be_visible()
    keep(pupil, "asked")

    head = browser("head", size=PHONE)
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
    other = browser("other", "hillview/ks4")
    other.goto(address)
    expect(other.get_by_role("heading", level=1)).to_contain_text("blocked")


def test_the_youngest_meet_a_picture_and_few_words(box, browser):
    pupil = browser("infant", "oakfield/ks1")
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
    phone = browser("phone", size={"width": 320, "height": 700})
    sign_in(phone, box, "hillview-head")
    said = phone.goto(f"{box.ready['admin']}{page}")
    assert said.status == 200
    assert phone.get_by_role("heading", level=1).count() == 1
    wide = phone.evaluate(
        "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > window.innerWidth + 1 && !e.closest('[tabindex], .scroll, table')).map(e => e.tagName + '.' + e.className)"
    )
    assert wide == []
    keep(phone, f"phone{page.replace('/', '-')}")
