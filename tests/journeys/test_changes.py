"""A request, the headteacher's signature, and the site opens for that group only; reversed, it is shut again."""

import re
import time

from sqlalchemy import create_engine, text

from .conftest import until

KS3, KS4 = "127.20.3.5", "127.20.4.5"


def test_from_request_to_open_to_shut(box):
    teacher, head = box.desk("hillview-teacher"), box.desk("hillview-head")
    site = "crazygames.com"
    assert (box.resolves(site, KS3), box.curl(box.https(site), KS3)[0]) == ("blocked", 403)
    change = teacher.ask("hillview", kind="site", site=site, action="allow", groups=["ks3"])
    assert change["state"] == "requested"
    assert box.resolves(site, KS3) == "blocked", "asking opens nothing"

    approved = head.act("approve", change)
    began = time.monotonic()
    assert (approved.status_code, approved.json()["state"]) == (200, "in_force")
    until(
        lambda: box.resolves(site, KS3) == "open" and box.curl(box.https(site), KS3)[0] == 200, 2, "open for ks3 within 2 s"
    )
    assert time.monotonic() - began < 2
    assert (box.resolves(site, KS4), box.curl(box.https(site), KS4)[0]) == ("blocked", 403)
    until(lambda: (now := head.get(f"/changes/{change['id']}")["in_force"])["on"] == now["of"], 3, "in force on all")

    reversed_ = head.act("reverse", change)
    assert (reversed_.status_code, reversed_.json()["state"]) == (200, "reversed")
    until(lambda: box.resolves(site, KS3) == "blocked" and box.curl(box.https(site), KS3)[0] == 403, 2, "shut again")
    assert box.run("changes", "verify").returncode == 0
    assert head.get("/ledger/verify", school="hillview")["agrees"] is True


def test_nobody_else_approves_and_the_attempt_is_on_record(box):
    change = box.desk("hillview-deputy").ask("hillview", kind="category", category="games", action="allow", groups=["ks3"])
    for username in ("hillview-teacher", "hillview-technician", "birchwood-officer"):
        assert box.desk(username).act("approve", change).status_code == 403
    other = box.desk("oakfield-head").act("approve", change)
    assert other.status_code in {403, 404}, "another school's headteacher has nothing to say here"
    engine = create_engine(f"sqlite:///{box.data}/desk.sqlite3")
    with engine.connect() as connection:
        tried = connection.execute(
            text("SELECT count(*) FROM access_log WHERE act = 'approve' AND outcome = 'refused' AND target LIKE :t"),
            {"t": f"%{change['id']}%"},
        ).scalar()
    engine.dispose()
    assert tried >= 3
    assert box.resolves("crazygames.com", KS3) == "blocked"
    assert box.desk("hillview-head").post(f"/changes/{change['id']}/refuse", reason="not in lessons").status_code == 200


def test_the_heads_own_request_waits_for_a_second_person(box):
    head = box.desk("hillview-head")
    change = head.ask("hillview", kind="site", site="crazygames.com", action="allow", groups=["sixth-form"])
    assert head.act("approve", change).json()["state"] == "requested"
    assert box.desk("birchwood-officer").act("approve", change).json()["state"] == "in_force"
    assert head.act("reverse", change).status_code == 200


def test_a_code_from_last_week_or_a_changed_diff_approves_nothing(box):
    change = box.desk("hillview-teacher").ask("hillview", kind="site", site="poki.com", action="allow", groups=["ks3"])
    head = box.desk("hillview-head")
    assert head.post(f"/changes/{change['id']}/approve", digest=change["digest"], totp="000000").status_code == 403
    said = head.post(f"/changes/{change['id']}/approve", digest="0" * 64, totp=box.code("hillview-head"))
    assert said.status_code == 409
    assert box.desk("hillview-teacher").post(f"/changes/{change['id']}/withdraw").status_code == 200


def test_from_the_block_page_to_the_head(box):
    _, page = box.curl(box.http("poki.com", "/g/chess"), KS3)
    fields = dict(re.findall(r'name="(\w+)"[^>]*value="([^"]*)"', page))
    data = [f"token={fields['token']}", "reason=We play chess in the club", "for_class=8B"]
    sent = [word for item in data for word in ("--data-urlencode", item)]
    status, thanks = box.curl("http://schoolgate.internal/ask", KS3, *sent)
    assert status == 200, thanks
    reference = re.search(r"[A-Z0-9]{4}-[A-Z0-9]{4}", thanks)[0]
    head = box.desk("hillview-head")

    def arrived():
        return [
            one
            for one in head.get("/changes", school="hillview", state="requested")["changes"]
            if "chess club" in one["reason"] or "chess" in one["reason"]
        ]

    (change, *_) = until(arrived, 10, f"request {reference} is at the desk")
    assert "poki.com/g/chess" in change["sentence"]
    assert head.act("approve", change).json()["state"] == "in_force"
    until(lambda: box.curl(box.http("poki.com", "/g/chess"), KS3)[0] == 200, 2, "the page opens")
    assert box.curl(box.http("poki.com", "/other"), KS3)[0] == 403, "nothing else of the site opens"
    assert head.act("reverse", change).status_code == 200
