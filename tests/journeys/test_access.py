"""axe-core looks at every page of the desk, as it is and with everything unfolded; and a headteacher needs no mouse."""

import time
from importlib.resources import files

import pytest
from playwright.sync_api import expect

from monitoring.coverage import WAYS, Tally

from .browsing import PHONE, sign_in

pytestmark = pytest.mark.browser
LEAN = "axe.run({resultTypes: ['violations'], iframes: false, preload: false})"  # what it would say of the rest takes as long
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
SIGNED_OUT = ("/sign-in", "/enrol", "/recover")
PAGES = (
    "/", "/requests", "/requests/new", "/rules", "/changes?check=true", "/log", "/why?site=poki.com&group=ks3", "/lists", "/people",
    "/standing", "/devices", "/you", "/access", "/help", "/nowhere", "/coverage", "/asked?reference=K7F2-9QXM",
)  # fmt: skip
KINDS = ("site", "timetable", "safety", "platform", "network", "belonging", "inspection", "tenants")


def found_by_axe(page, url: str) -> list[str]:
    page.goto(url)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    page.evaluate(AXE)
    said = page.evaluate(LEAN)
    return [f"{url}: {one['id']}: {one['nodes'][0]['html'][:200]}" for one in said["violations"]]


def test_axe_finds_nothing_on_any_page(box, browser):
    tally = Tally(box.data / "gateway" / "coverage", time.time())
    for way in WAYS:
        tally.count(("hillview", "pupils", "02:00:00:00:00:05"), way, time.time())
    tally.write()
    teacher = box.desk("hillview-teacher")
    asked = [teacher.ask("hillview", kind="site", site=f"axe{n}.example", action="allow", groups=["ks3"]) for n in (1, 2)]
    head = browser(size=PHONE)
    desk = box.ready["admin"]
    found = [each for path in SIGNED_OUT for each in found_by_axe(head, desk + path)]
    sign_in(head, box, "hillview-head")
    own = [
        f"/requests/{asked[0]['id']}",
        f"/requests/{asked[0]['id']}/like",
        *(f"/requests/new?kind={kind}" for kind in KINDS),
    ]
    found += [each for path in (*PAGES, *own) for each in found_by_axe(head, desk + path)]
    assert found == []
    for one in asked:
        teacher.post(f"/changes/{one['id']}/withdraw")


def test_by_keyboard_alone_a_request_is_made_smaller_and_signed(box, browser):
    asked = box.desk("hillview-teacher").ask(
        "hillview", kind="site", site="keys.example", action="allow", groups=["ks3", "ks4"]
    )
    head = browser()
    sign_in(head, box, "hillview-head")
    head.goto(f"{box.ready['admin']}/requests/{asked['id']}")
    head.keyboard.press("Tab")
    assert head.evaluate("document.activeElement.className") == "skip"
    head.keyboard.press("Enter")

    def to(text: str) -> None:
        for _ in range(60):
            head.keyboard.press("Tab")
            if text in head.evaluate("document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent"):
                return
        raise AssertionError(f"the keyboard does not come to {text!r}")

    to("Approve less")
    head.keyboard.press("Enter")
    to("Years 10-11")
    head.keyboard.press("Space")
    to("Show me this instead")
    head.keyboard.press("Enter")
    expect(head.get_by_text("The request is smaller now")).to_be_visible()
    expect(head.get_by_role("heading", level=1)).to_contain_text("Years 7-9 may use keys.example")
    to("6-digit code")
    head.keyboard.type(box.code("hillview-head"))
    head.keyboard.press("Enter")
    expect(head.get_by_text("Approved and signed.")).to_be_visible()
