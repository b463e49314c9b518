"""A real Chromium for the stories: whose it is, what it trusts, how somebody signs in, pictures to look at."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

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


@pytest.fixture(scope="module")
def chromium(playwright, box, tmp_path_factory) -> Iterator[Browser]:
    """One Chromium for the stories of a module. It trusts the box's authority as a school's devices do."""
    home = tmp_path_factory.mktemp("home")
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    subprocess.run(["certutil", "-d", f"sql:{database}", "-N", "--empty-password"], check=True, capture_output=True)
    trust = ["certutil", "-d", f"sql:{database}", "-A", "-t", "C,,", "-n", "Schoolgate", "-i", box.ca]
    subprocess.run(trust, check=True, capture_output=True)
    opened = playwright.chromium.launch(
        executable_path=CHROMIUM, headless=True, args=QUIET, env={**os.environ, "HOME": str(home)}
    )
    yield opened
    opened.close()


@pytest.fixture
def browser(chromium, box):
    """Opens the browser of somebody, with nobody else's cookies, behind the proxy of a group if one is named."""
    opened: list[BrowserContext] = []

    def open_(group: str | None = None, size: dict | None = None) -> Page:
        proxy = {"server": f"http://{box.ready['proxy_groups'][group]}", "bypass": "<-loopback>"} if group else None
        context = chromium.new_context(
            proxy=proxy, viewport=size or {"width": 1280, "height": 900}, locale="en-GB", timezone_id="Europe/London"
        )
        opened.append(context)
        return context.new_page()

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
