"""Who has signed in at the portal: codes, devices, patience, the end; and the door where that is asked."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.devices.door import Door
from appliance.devices.portal import SCHOOL_TRIES, TRIES, Portal
from appliance.devices.radius import Accounting
from appliance.devices.watch import Watch
from appliance.gateway.devices import Lease
from change_control.guests import Code, digest
from monitoring.devices import Names
from policy import doors
from policy.identity import Client

KEY, SCHOOL = b"k" * 32, "hill"
PHONE, LAPTOP, HERE = "02:00:00:00:00:01", "02:00:00:00:00:02", "10.9.0.5"
HOUR = 3600.0


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def code(text="ABCD-2345", **more):
    values = {"id": "c1", "school": SCHOOL, "label": "Ms Khan", "group": "visitors", "devices": 1, "starts": 0.0, "ends": 9e9}
    values |= more
    return Code(digest=digest(KEY, values["school"], text), **values)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def portal(clock):
    made = Portal(KEY, 12 * HOUR, clock)
    made.take_codes([code()])
    return made


def test_a_code_signs_a_device_in_under_the_role_of_its_group(portal, clock):
    said = portal.guest(SCHOOL, HERE, PHONE, " abcd 2345 ")
    assert said.said == "in"
    session = said.session
    assert (session.how, session.device, session.addresses, session.roles) == (
        "portal",
        PHONE,
        (HERE,),
        ("portal/guest/visitors",),
    )
    assert session.user == "guest code c1 (Ms Khan)"
    assert session.until == clock.now + 12 * HOUR
    assert portal.of(SCHOOL, "10.9.0.77", PHONE) is session, "the device, at whichever address"
    assert portal.of(SCHOOL, HERE, LAPTOP) is None, "another device at its address"
    assert portal.of("other", HERE, PHONE) is None


@pytest.mark.parametrize(
    ("more", "typed", "said"),
    [
        ({}, "ABCD-2346", "wrong"),
        ({}, "", "wrong"),
        ({"school": "other"}, "ABCD-2345", "wrong"),
        ({"starts": 2000.0}, "ABCD-2345", "early"),
        ({"ends": 900.0}, "ABCD-2345", "over"),
    ],
)
def test_what_is_no_code(clock, more, typed, said):
    portal = Portal(KEY, HOUR, clock)
    portal.take_codes([code(**more)])
    assert portal.guest(SCHOOL, HERE, PHONE, typed).said == said
    assert portal.sessions == {}


def test_so_many_devices_at_a_time(portal):
    assert portal.guest(SCHOOL, HERE, PHONE, "ABCD2345").said == "in"
    assert portal.guest(SCHOOL, HERE, PHONE, "ABCD2345").said == "in", "the same device again is not a second one"
    assert portal.guest(SCHOOL, "10.9.0.6", LAPTOP, "ABCD2345").said == "full"
    assert portal.leave(SCHOOL, HERE, PHONE).said == "out"
    assert portal.guest(SCHOOL, "10.9.0.6", LAPTOP, "ABCD2345").said == "in"


def test_it_ends_with_time_with_the_code_and_at_the_desk(portal, clock):
    key = portal.guest(SCHOOL, HERE, PHONE, "ABCD2345").session.key
    assert not portal.end("other", key), "another school's desk"
    assert portal.end(SCHOOL, key)
    assert not portal.end(SCHOOL, key)
    portal.guest(SCHOOL, HERE, PHONE, "ABCD2345")
    assert portal.take_codes([]), "revoked"
    assert portal.sessions == {}
    portal.take_codes([code(ends=clock.now + 60)])
    assert portal.guest(SCHOOL, HERE, PHONE, "ABCD2345").session.until == clock.now + 60
    clock.now += 61
    assert portal.of(SCHOOL, HERE, PHONE) is None
    assert portal.expire()


def test_guessing_is_slow_for_a_device_and_for_a_school(portal, clock):
    for _ in range(TRIES[0]):
        assert portal.guest(SCHOOL, HERE, PHONE, "WRNG2345").said == "wrong"
    assert portal.guest(SCHOOL, HERE, PHONE, "ABCD2345").said == "wait", "even the right one, now"
    assert portal.guest(SCHOOL, HERE, LAPTOP, "ABCD2345").said == "in", "others need not wait"
    clock.now += TRIES[1] + 1
    assert portal.guest(SCHOOL, HERE, PHONE, "ABCD2345").said == "full"
    for n in range(SCHOOL_TRIES[0]):
        portal.guest(SCHOOL, "10.9.0.9", f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}", "WRNG2345")
    assert portal.guest(SCHOOL, HERE, "02:00:00:00:77:77", "ABCD2345").said == "wait", "so many devices guess together"


def test_what_is_saved_is_recalled(portal, clock):
    portal.guest(SCHOOL, HERE, PHONE, "ABCD2345")
    portal.staff(SCHOOL, "10.9.0.6", LAPTOP, "tom")
    later = Portal(KEY, HOUR, clock)
    later.recall(json.loads(json.dumps(portal.saved())))
    assert later.sessions == portal.sessions
    assert {one.roles for one in later.sessions.values()} == {("portal/guest/visitors",), ("portal/staff",)}
    with pytest.raises(ValueError, match="saved"):
        later.recall([{"key": "x"}])


@given(st.text())
@settings(max_examples=60)
def test_no_text_is_a_code(text):
    portal = Portal(KEY, HOUR, Clock())
    portal.take_codes([code()])
    assert portal.guest(SCHOOL, HERE, PHONE, text).said == "wrong"


# --- the door ---------------------------------------------------------------------------------------------------------


class Hall:
    """A door with what is behind it."""

    def __init__(self, tmp_path, clock, portal):
        self.heard = self.looked = 0
        names = Names(KEY)
        self.watch = Watch(Accounting((), HOUR, clock), names, lambda _: SCHOOL, portal)
        self.accounts = tmp_path / "accounts.sock"
        self.door = Door(
            portal, self.watch, self.client, names,
            accounts=self.accounts, heard=self.hear, look=self.look, clock=clock,
        )  # fmt: skip

    def client(self, address):
        return Client(SCHOOL, "guest", "g", "network", portal="offered" if address.startswith("10.9.") else "")

    def hear(self):
        self.heard += 1

    def look(self):
        self.looked += 1


@pytest.fixture
def hall(tmp_path, clock, portal):
    return Hall(tmp_path, clock, portal)


def test_the_door_says_who_signed_in_and_takes_codes(hall):
    async def whole():
        answer = hall.door.answer
        assert await answer({"act": "status", "address": HERE}) == {"said": "out"}
        told = await answer({"act": "guest", "address": f"::ffff:{HERE}", "code": "ABCD2345"})  # by a listener for both
        assert await answer({"act": "status", "address": HERE}) == told
        assert (told["said"], told["name"], told["guest"]) == ("in", "Ms Khan", True)
        assert hall.looked, "a code that was issued a moment ago holds"
        assert hall.heard
        (one,) = (await answer({"act": "sessions"}))["sessions"]
        assert (one["school"], one["name"], one["code"], one["addresses"]) == (SCHOOL, "Ms Khan", "c1", [HERE])
        assert await answer({"act": "guest", "address": "10.1.0.1", "code": "ABCD2345"}) == {"said": "not here"}
        assert await answer({"act": "end", "school": SCHOOL, "session": one["key"]}) == {"said": "out"}
        assert await answer({"act": "leave", "address": HERE}) == {"said": "out"}
        assert await answer({"act": "dance", "address": HERE}) == {"said": "not understood"}

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("desk", "said"),
    [
        ({"said": "in", "user": "Tom"}, "in"),
        ({"said": "in", "user": "host/tom"}, "away"),
        ({"said": "wrong"}, "wrong"),
        ({"said": 7}, "away"),
        (None, "away"),
    ],
)
def test_names_and_passwords_are_asked_of_the_desk(hall, desk, said):
    asked = []

    async def of_desk(question):
        asked.append(question)
        return desk

    async def whole():
        server = await doors.serve(hall.accounts, of_desk) if desk else None
        given = {"act": "staff", "address": HERE, "user": "Tom", "password": "three random words"}
        assert await hall.door.answer(given) == {"said": "asking"}
        assert await hall.door.answer(given) == {"said": "asking"}, "once at a time"
        for _ in range(1000):
            told = await hall.door.answer({"act": "status", "address": HERE})
            if told["said"] != "asking":
                break
            await asyncio.sleep(0.01)
        if server:
            server.close()
        await hall.door.answer({"act": "leave", "address": HERE})
        after = await hall.door.answer({"act": "status", "address": HERE})
        assert after == {"said": "out" if said == "in" else said}, "who has signed out is not in"
        return told

    told = asyncio.run(whole())
    assert told["said"] == said
    if desk:
        assert [one["user"] for one in asked] == ["Tom"]
    if said == "in":
        assert (told["name"], told["guest"]) == ("tom", False)


async def until(so):
    for _ in range(1000):
        if so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not in ten seconds")


def test_wrong_passwords_and_wrong_codes_are_counted_together_by_device(hall, portal, clock):
    """Whoever takes another address, and another name, with each try."""

    async def wrong(question):
        return {"said": "wrong"}

    async def whole():
        server = await doors.serve(hall.accounts, wrong)
        asked = {"act": "staff", "user": "tom", "password": "a guess"}
        hall.watch.leases([Lease(f"10.9.0.{n}", PHONE, "") for n in range(10)], clock.now)
        for n in range(TRIES[0]):
            given = {**asked, "address": f"10.9.0.{n}", "user": f"teacher{n}"}
            assert (await hall.door.answer(given))["said"] == "asking"
            await until(lambda: not hall.door._tasks)
        assert await hall.door.answer({**asked, "address": "10.9.0.9", "user": "other"}) == {"said": "wait"}
        assert portal.guest(SCHOOL, "10.9.0.9", PHONE, "ABCD2345").said == "wait"
        assert portal.guest(SCHOOL, "10.9.0.9", LAPTOP, "ABCD2345").said == "in"
        server.close()

    asyncio.run(whole())


def test_an_account_that_was_closed_is_signed_out_and_no_other(hall, portal, clock):
    portal.guest(SCHOOL, HERE, PHONE, "ABCD2345")
    for n, user in enumerate(["tom", "adam", *(f"teacher{n}" for n in range(40))]):
        portal.staff(SCHOOL, f"10.9.1.{n}", f"02:00:00:00:01:{n:02x}", user)
    portal.staff("other", "10.8.0.1", LAPTOP, "tom")
    asked = []

    async def of_desk(question):
        asked.append(question)
        return {
            "said": "holds",
            "gone": [user for user in question["holds"] if user == "tom" and question["school"] == SCHOOL],
        }

    async def whole():
        hall.door.ask_who_holds()  # nobody answers: nothing ends
        await until(lambda: not hall.door._tasks)
        assert len(portal.sessions) == 44
        server = await doors.serve(hall.accounts, of_desk)
        hall.door.ask_who_holds()
        hall.door.ask_who_holds()  # once at a time
        await until(lambda: not hall.door._tasks)
        server.close()

    asyncio.run(whole())
    assert sum(len(each["holds"]) for each in asked) == 43
    assert [one.school for one in portal.sessions.values() if one.user == "tom"] == ["other"]
    assert (len(portal.sessions), hall.heard) == (43, 1)


def test_strangers_lines_are_answered_and_end_nothing(hall, tmp_path):
    async def whole():
        server = await doors.serve(tmp_path / "door", hall.door.answer)
        for line in (
            b"\n",
            b"[]\n",
            b'"x"\n',
            b"{}\n",
            b"\xff\xfe\n",
            b'{"act": 1}\n',
            b"[" * 4000 + b"\n",
            b"x" * 9000 + b"\n",
        ):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "door"))
            writer.write(line)
            assert json.loads(await reader.read()) == {"said": "not understood"}
            writer.close()
        told = await asyncio.to_thread(doors.ask, tmp_path / "door", {"act": "sessions"})
        assert told == {"said": "sessions", "sessions": []}
        server.close()

    asyncio.run(whole())
