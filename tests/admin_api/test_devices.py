"""The register of devices at the desk: named by some, and the rules that hold for one asked for like any change."""

import pytest
from sqlalchemy import select

from change_control.tables import ChangeRow
from monitoring import devices
from monitoring.devices import Seen, Wanted

MAC = "00:11:22:aa:bb:cc"
DEVICE, PERSON = "d-0123456789abcdef", "p-0123456789abcdef"


@pytest.fixture
def seen(world):
    at = world.clock().timestamp()
    devices.take(world.log, [Seen("oakfield", DEVICE, MAC, "DESKTOP-7", ("10.1.0.5",), "lease", PERSON, "kim@oak", at)])
    return world


def requests(world):
    with world.store.read() as session:
        return [row.kind for row in session.scalars(select(ChangeRow))]


def test_what_is_there(seen):
    text = seen.browser("tom").get("/devices").text
    assert "DESKTOP-7" in text
    assert "Here now" in text
    assert "Its network" in text
    assert "DESKTOP-7" not in seen.browser("tom").get("/devices?words=library").text
    assert seen.browser("adam").get("/devices?school=oakfield").status_code == 403
    assert seen.browser("harry").get(f"/devices/{DEVICE}").status_code == 404, "another school's"


def test_naming_changes_no_answer(seen):
    tom = seen.browser("tom")
    said = {"name": "Library 3", "kind": "desktop", "owner": "Library", "room": "L1", "standing": "managed"}
    assert tom.post(f"/devices/{DEVICE}", said).status_code == 303
    page = tom.get(f"/devices/{DEVICE}").text
    assert "Library 3" in page
    assert requests(seen) == []
    assert seen.browser("sara").post(f"/devices/{DEVICE}", {"name": "x"}).status_code == 403, "she may read it"
    assert tom.post(f"/devices/{DEVICE}", {"standing": "ours"}).status_code == 422
    assert "Library 3" in tom.get("/devices/table.csv").text
    tom.post(f"/devices/{DEVICE}", {"act": "forget"})
    assert devices.search(seen.log, "oakfield", Wanted()) == []


def test_whose_rules_hold_is_the_heads_to_approve(seen):
    tom, helen = seen.browser("tom"), seen.browser("helen")
    assert tom.post(f"/devices/{DEVICE}/group", {"group": "", "reason": ""}).status_code == 422
    answer = tom.post(f"/devices/{DEVICE}/group", {"group": "staff", "reason": "it is the office's"})
    assert answer.status_code == 303
    number = int(answer.headers["location"].split("/")[-1].split("?")[0])
    page = helen.get(f"/requests/{number}").text
    assert f"The device {DEVICE} is filtered as" in page
    assert "DESKTOP-7: it is the office" in page, "in the words, which can be deleted, she reads which one it is"
    assert "staff" not in str(seen.live.snapshot.schools["oakfield"].belongings)
    assert helen.sign("approve", number).status_code == 303
    seen.live.refresh()
    (one,) = seen.services.snapshot().schools["oakfield"].belongings
    assert (one.device, one.group) == (DEVICE, "staff")
    assert "Its own, on every network" in tom.get("/devices").text
    again = tom.post(f"/devices/{DEVICE}/group", {"group": "staff", "reason": "once more"})
    assert again.status_code == 422
    assert tom.post(f"/devices/{DEVICE}/group", {"group": "none", "reason": "it left"}).status_code == 303


def test_a_table_is_taken_in_and_its_groups_are_asked_for(seen):
    tom = seen.browser("tom")
    table = f"mac,name,standing,group\n{MAC},Library 3,managed,staff\n02:ff:ee:00:00:01,Pad 1,byod,\n"
    answer = tom.post("/devices/table", {"table": table})
    assert "devices-asked" in answer.headers["location"]
    assert [one.name for one in devices.search(seen.log, "oakfield", Wanted("pad"))] == ["Pad 1"]
    assert requests(seen) == ["belonging"]
    wrong = tom.post("/devices/table", {"table": "mac,group\n00:11:22:aa:bb:cc,year99\nxyz,\n"})
    assert wrong.status_code == 422
    assert "year99" in wrong.text
    assert "line 3" in wrong.text
    assert tom.post("/devices/table", {"table": "nothing"}).status_code == 422


def test_the_log_says_who_it_was_to_whom_gives_a_reason(seen):
    seen.events(seen.event(identified_by="radius", person=PERSON, address="10.1.0.5", device=DEVICE))
    helen = seen.browser("helen")
    page = helen.get(f"/log?device={MAC}").text
    assert "crazygames.com" in page
    assert "known by sign-in to the wireless network" in page
    assert "kim@oak" not in page
    assert "DESKTOP-7" not in page
    code = page.split("/log/person/")[1].split('"')[0].split("?")[0]
    helen.post(f"/log/person/{code}/unmask", {"reason": "a worry about what was searched for"})
    shown = helen.get("/log").text
    assert "kim@oak" in shown
    assert "DESKTOP-7" in shown
