"""The register of devices in a real browser: a technician names a device on a phone, and the headteacher decides on its rules."""

import time

import pytest
from playwright.sync_api import expect

from monitoring import devices
from monitoring.devices import Seen
from monitoring.log import Log

from .browsing import keep, sign_in
from .test_access import found_by_axe

pytestmark = pytest.mark.browser
LAPTOP, PHONE = "d-00000000000000a1", "d-00000000000000a2"
NARROW = {"width": 320, "height": 700}
TOO_WIDE = """[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > window.innerWidth + 1
    && !e.closest('[tabindex], .scroll')).map(e => e.tagName + '.' + e.className)"""


@pytest.fixture
def seen(box):
    """A laptop with a name and many addresses, and a phone that made its MAC up."""
    now = time.time()
    with Log(f"sqlite:///{box.data / 'log.sqlite3'}") as log:
        six = tuple(f"2001:db8:1:2:{n:x}:aaaa:bbbb:cccc" for n in range(3))
        devices.take(
            log,
            [
                Seen(
                    "hillview", LAPTOP, "00:11:22:aa:bb:01", "LIBRARY-DESKTOP-0017", ("10.20.3.7", *six), "lease", "", "", now
                ),
                Seen("hillview", PHONE, "02:ff:ee:00:00:01", "", ("10.20.3.8",), "neighbour", "", "", now - 86_400),
            ],
        )
    yield box
    with Log(f"sqlite:///{box.data / 'log.sqlite3'}") as log:
        for one in (LAPTOP, PHONE):
            devices.forget(log, "hillview", one)


def test_a_device_is_named_on_a_phone_and_its_rules_are_asked_for(seen, browser):
    desk = seen.ready["admin"]
    page = browser(size=NARROW)
    sign_in(page, seen, "hillview-technician")
    for path in ("/devices", "/guests", "/requests/new?kind=portal", f"/devices/{LAPTOP}", f"/devices/{PHONE}"):
        assert found_by_axe(page, desk + path) == []
        assert page.evaluate(TOO_WIDE) == []
        keep(page, f"phone{path.replace('/', '-').replace('?', '-')}")
    page.goto(f"{desk}/guests")
    page.get_by_label("For whom").fill("Ms Khan, school nurse")
    page.get_by_role("button", name="Issue the code").click()
    expect(page.get_by_role("heading", name="The code for Ms Khan, school nurse")).to_be_visible()
    assert page.evaluate(TOO_WIDE) == []
    keep(page, "phone-guest-code")
    page.goto(f"{desk}/devices?words=library")
    page.get_by_role("link", name="LIBRARY-DESKTOP-0017").click()
    page.get_by_label("Name", exact=True).fill("Library 3")
    page.get_by_label("Room").fill("L1")
    page.get_by_label("The school’s own, managed").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Library 3")
    page.get_by_label("Ask for the rules of").select_option(label="Staff")
    page.get_by_label("Why?").fill("It stands in the staff library.")
    page.get_by_role("button", name="Send the request").click()
    expect(page.get_by_text(f"The device {LAPTOP} is filtered as Staff")).to_be_visible()
    expect(page.get_by_text("Library 3: It stands in the staff library.")).to_be_visible()
    keep(page, "phone-devices-request")
    page.set_viewport_size({"width": 1280, "height": 900})
    for path in ("/devices", f"/devices/{LAPTOP}", "/requests/new?kind=belonging"):
        page.goto(desk + path)
        keep(page, f"desk{path.replace('/', '-').replace('?', '-')}")
