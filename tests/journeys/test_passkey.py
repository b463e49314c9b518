"""In a real Chromium with a virtual authenticator: a headteacher adds a passkey, approves with it, and signs in with it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from .browsing import PHONE, keep, sign_in

pytestmark = pytest.mark.browser


def virtual_authenticator(page: Page) -> None:
    """A phone's own authenticator, whose owner always passes."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def signed_by_passkey(head, sentence, picture=""):
    """Sign what the page says, and wait for the page that follows: the sentence stands there too, but not as its title."""
    title = head.get_by_role("heading", level=1)
    expect(title).to_contain_text(sentence)
    if picture:
        keep(head, picture)
    head.get_by_role("button", name="Sign it with your passkey").click()
    expect(title).not_to_contain_text(sentence)
    expect(head.get_by_text(sentence).first).to_be_visible()


def test_a_passkey_from_adding_it_to_the_signature_in_the_log(box, browser):
    teacher = box.desk("hillview-teacher")
    asked = teacher.ask("hillview", kind="site", site="poki.com", action="allow", groups=["ks3", "ks4"])
    like = [teacher.ask("hillview", kind="site", site=f"like{n}.example", action="allow", groups=["ks3"]) for n in (1, 2)]
    head = browser(size=PHONE)
    virtual_authenticator(head)
    sign_in(head, box, "hillview-head")
    head.goto(f"{box.ready['admin']}/you")
    head.get_by_label("Name of the device").fill("My phone")
    head.get_by_label("code").last.scroll_into_view_if_needed()
    head.locator("#code").fill(box.code("hillview-head"))
    head.get_by_role("button", name="Add a passkey").click()
    expect(head.get_by_text("The passkey is added.")).to_be_visible()
    keep(head, "you")

    head.goto(f"{box.ready['admin']}/requests/{asked['id']}")
    keep(head, "approve-passkey")
    head.get_by_text("Approve less…").click()
    head.get_by_label("Years 10-11").uncheck()
    head.get_by_role("button", name="Show me this instead").click()
    expect(head.get_by_text("Made smaller. Asked for was: Years 7-9 and Years 10-11 may use poki.com")).to_be_visible()
    keep(head, "narrowed-passkey")
    head.get_by_role("button", name="Approve with your passkey").focus()
    head.keyboard.press("Enter")  # the keyboard alone does it
    expect(head.get_by_text("Approved and signed.")).to_be_visible()

    head.goto(f"{box.ready['admin']}/requests/{like[0]['id']}/like")
    head.get_by_role("button", name="Approve these with your passkey").click()  # a touch for each, a signature for each
    expect(head.get_by_text("All of them are signed")).to_be_visible()

    head.goto(f"{box.ready['admin']}/standing")
    head.get_by_text("Sign a standing mandate…").click()
    head.get_by_label("Block a site at once").check()
    head.get_by_label("Online safety co-ordinator").check()
    head.get_by_label("Until when?").fill((datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%d"))
    head.get_by_role("button", name="Read it once more and sign").last.click()
    signed_by_passkey(head, "may block a site at once until", "sign-passkey")
    expect(head.get_by_text("Signed by").first).to_be_visible()
    keep(head, "standing-passkey")

    head.goto(f"{box.ready['admin']}/lists")
    head.get_by_text("Sign a standing mandate…").click()
    head.get_by_label("Technician").check()
    head.get_by_label("Until when?").fill((datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%d"))
    head.get_by_role("button", name="Read it once more and sign").click()
    signed_by_passkey(head, "may take in lists until")

    head.goto(f"{box.ready['admin']}/standing")
    head.get_by_text("Sign a delegation…").click()
    head.get_by_label("Who?").select_option(index=1)
    head.get_by_label("Pupils’ requests from the block page").check()
    head.get_by_label("Years 7-9").check()
    head.get_by_label("To the end of").fill((datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%d"))
    keep(head, "teacher-of-a-group")
    head.get_by_role("button", name="Read it once more and sign").first.click()
    signed_by_passkey(head, "looks first at what pupils in Years 7-9 ask for")

    head.get_by_role("button", name="Sign out").click()
    head.get_by_role("button", name="Sign in with a passkey").click()
    expect(head.get_by_role("heading", level=1)).to_contain_text("Today")

    assert box.run("changes", "verify").returncode == 0
    entries = [json.loads(text) for text in box.desk("hillview-head").get("/ledger", school="hillview")["entries"]]
    signed = {one["change"]: one["rests_on"]["signatures"][0] for one in entries if one["kind"] == "change.approved"}
    assert {signed[one["id"]]["factor"] for one in like} == {"passkey"}
    (mandate,) = [one for one in entries if one["kind"] == "mandate.signed" and one["mandate"]["kinds"] == ["site"]][-1:]
    assert mandate["rests_on"]["signatures"][0]["factor"] == "passkey"
    (approved,) = [one for one in entries if one["kind"] == "change.approved" and one["change"] == asked["id"]]
    assert approved["rests_on"]["signatures"][0]["factor"] == "passkey"
    assert (
        box.desk("hillview-head").act("reverse", box.desk("hillview-head").get(f"/changes/{asked['id']}")).status_code == 200
    )
