"""axe-core looks at each phase's block page, the warning, the way help comes first, and the same in Welsh, as a browser shows them."""

import os
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from policy.decide import Question, decide
from policy.identity import Client
from proxy import tokens
from proxy.answer import Wanted
from proxy.block_page import Asker, Pages
from proxy.portal import PURPOSE, Portal
from proxy.visits import Visit

pytestmark = pytest.mark.browser
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
PICTURES = os.environ.get("SCHOOLGATE_SCREENSHOTS")  # a folder to keep the pictures in, to look at
AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
PAGES = Pages(b"k" * 32, "https://desk.test")
GROUPS = ("early", "ks1", "ks2", "ks3", "ks4", "sixth", "staff", "guest", "strictest")


def seen(snapshot, languages: str, groups):
    """Every page that somebody can meet, by a name of its own."""
    asker = Asker("10.0.0.7", Wanted.PAGE, languages=languages)
    for group in groups:
        school = "" if group == "strictest" else "hillview"
        for host in ("games.test", "worry.test"):
            asked = Question(school, group, host, AT, "/")
            yield f"{group}-{host}", PAGES.block(snapshot, decide(snapshot, asked), asked, asker, ("cdn.test", "player.test"))
    asked = Question("hillview", "ks3", "sealed.test", AT, "/")
    yield "sealed", PAGES.block(snapshot, decide(snapshot, asked), asked, asker)
    asked = Question("hillview", "ks3", "warned.test", AT, "/")
    yield "warn", PAGES.warn(snapshot, decide(snapshot, asked), asked, asker, "https://warned.test/?x=1")
    yield "message", PAGES.message(403, "This address is not right", "It is not a web address.", asker)
    yield "thanks", PAGES.thanks("games.test", "K7F2-9QXM", asker)
    yield "home", PAGES.home(portal=True)
    yield from portal(snapshot, languages)


def portal(snapshot, languages: str):
    """The pages at which people sign in."""
    client = Client("hillview", "guest", "g", "network", portal="required")
    status = {"said": "in", "name": "Ms Khan, school nurse", "until": AT.timestamp() + 8000, "guest": True}
    for name, method, path, said in (
        ("sign-in", "GET", "/sign-in", {"said": "out"}),
        ("sign-in-wrong", "POST", "/sign-in", {"said": "wrong"}),
        ("account", "GET", "/sign-in/account", {"said": "out"}),
        ("account-wrong", "GET", "/sign-in/account", {"said": "wrong"}),
        ("asking", "GET", "/sign-in/account", {"said": "asking"}),
        ("signed-in", "GET", "/sign-in", status),
    ):
        made = Portal(b"k" * 32, PAGES, lambda _act, _address, said=said, **_more: said, lambda: snapshot, "")
        place = {"school": "hillview", "network": "g", "address": "10.0.0.7"}
        token = tokens.sign(b"k" * 32, PURPOSE, place, AT.timestamp())
        visit = Visit(client, "10.0.0.7", method, path, AT.timestamp(), languages=languages, secure=True)
        yield name, made.answer(visit, f"token={token}&code=x".encode(), lambda _: None)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as made:
        opened = made.chromium.launch(executable_path="/usr/bin/chromium")
        yield opened
        opened.close()


@pytest.mark.parametrize(
    ("languages", "groups"), [("en-GB", GROUPS), ("cy", ("ks1", "ks3", "staff", "strictest"))], ids=["English", "Welsh"]
)
def test_axe_finds_nothing(phases, browser, languages, groups):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    found = []
    for name, answer in seen(phases, languages, groups):
        page.set_content(
            answer.body.decode().replace('<meta http-equiv="refresh"', "<meta")
        )  # it stays while it is looked at
        if not page.evaluate("'axe' in window"):  # the window outlives its content
            page.evaluate(AXE)
        told = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        found += [f"{name}: {one['id']}: {one['nodes'][0]['html'][:200]}" for one in told]
        for width in (320, 390, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            found += [f"{name}: must be scrolled sideways at {width}"] if wide else []
            if PICTURES:
                page.screenshot(path=Path(PICTURES) / f"{languages}-{width}-{name}.png", full_page=True)
        page.set_viewport_size({"width": 390, "height": 844})
        assert len(answer.body) < 15_000
    page.close()
    assert found == []
