"""People: how they enrol, sign in, stay signed in and sign; on both databases."""

from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest

from change_control import founding
from change_control.authority import NotAllowed
from change_control.people import ALPHABET, WrongCredentials, new_code
from change_control.quorum import enrolled

from .conftest import PASSWORD


def code_for(world, session, *roles, log="oakfield", name="New Person", by="helen"):
    """An invitation that the headteacher signs."""
    signer = world.signer(session, by, log)
    return world.registry.invite(
        session, log, name, roles, by=world.who(session, by), sign=lambda terms: signer.sign("invite", log, terms)
    )


def enrol(world, session, code, username="nina", password=PASSWORD):
    return world.registry.enrol(session, code, username, password, pyotp.random_base32())


def now_code(world, username, ahead=0):
    return pyotp.TOTP(world.secrets[username]).at(world.clock() + timedelta(seconds=30 * ahead))


def sign_in(world, username="helen", password=PASSWORD, code=None, address=""):
    with world.store.write() as session:
        return world.registry.sign_in(session, username, password, code or now_code(world, username), address=address)


def test_a_code_enrols_once_whatever_its_spelling(world):
    with world.store.write() as session:
        code = code_for(world, session, "teacher", name="  Nina Hart ")
        person = enrol(world, session, f" {code.lower()} ", " Nina ")
        assert (person.name, person.at("oakfield"), person.at("birchwood")) == ("Nina Hart", {"teacher"}, frozenset())
    with world.store.write() as session, pytest.raises(WrongCredentials, match="not valid"):
        enrol(world, session, code, "another")


def test_a_code_ends_after_a_week(world):
    with world.store.write() as session:
        code = code_for(world, session, "teacher")
    world.clock.forward(days=7)
    with world.store.write() as session, pytest.raises(WrongCredentials):
        enrol(world, session, code)


@pytest.mark.parametrize("code", ["", "K7F2", "K7F2-9QXM-3DPL", "' OR 1=1 --"])
def test_a_made_up_code_is_no_code(world, code):
    with world.store.write() as session, pytest.raises(WrongCredentials):
        enrol(world, session, code)


def test_codes_are_unlike_and_easily_read():
    codes = {new_code() for _ in range(100)}
    assert len(codes) == 100
    assert all(set(code) <= {*ALPHABET, "-"} and len(code) == 14 for code in codes)
    assert not set("IO01") & set(ALPHABET)


@pytest.mark.parametrize(
    ("username", "password", "why"),
    [
        ("nina", "short", "at least 10"),
        ("n", PASSWORD, "2 to 100"),
        ("n" * 101, PASSWORD, "2 to 100"),
        ("ni\x00na", PASSWORD, "2 to 100"),
    ],
)
def test_a_bad_name_or_password_enrols_nobody_and_leaves_the_code(world, username, password, why):
    with world.store.write() as session:
        code = code_for(world, session, "teacher")
    with pytest.raises(ValueError, match=why), world.store.write() as session:
        enrol(world, session, code, username, password)
    with world.store.read() as session:
        assert world.registry.invitation(session, code).used is None


def test_there_is_one_headteacher(world):
    with world.store.write() as session, pytest.raises(NotAllowed, match="its headteacher already"):
        code_for(world, session, "headteacher")
    with world.store.write() as session, pytest.raises(NotAllowed, match="its la officer already"):
        world.registry.invite(session, "birchwood", "Another", ["la_officer"], by=None)
    with world.store.read() as session:
        assert len(enrolled(session, world.office.book(session, "oakfield"), "headteacher")) == 1


def test_of_two_codes_for_the_first_headteacher_one_enrols(world):
    with world.store.write() as session:
        oakfield = world.office.book(session, "oakfield").in_force().document
        founding.found_school(world.office, session, replace(oakfield, log="hillview", name="Hillview", networks=()))
        first, second = (world.registry.invite(session, "hillview", name, ["headteacher"], by=None) for name in ("A", "B"))
        enrol(world, session, second, "harriet")
    with pytest.raises(NotAllowed, match="its headteacher already"), world.store.write() as session:
        enrol(world, session, first, "another")
    with world.store.write() as session, pytest.raises(NotAllowed, match="invites everyone else"):
        world.registry.invite(session, "hillview", "C", ["teacher"], by=None)


@pytest.mark.parametrize("roles", [[], ["caretaker"], ["teacher", "caretaker"]])
def test_a_role_that_there_is_not(world, roles):
    with world.store.write() as session, pytest.raises(ValueError, match="there is no role"):
        code_for(world, session, *roles)


def test_only_the_head_invites_and_only_with_her_signature(world):
    with world.store.write() as session:
        with pytest.raises(NotAllowed, match="only the headteacher"):
            code_for(world, session, "teacher", by="dora")
        with pytest.raises(NotAllowed, match="needs a signature"):
            world.registry.invite(session, "oakfield", "N", ["teacher"], by=world.who(session, "helen"))


def test_the_same_person_at_two_schools_proves_herself_by_her_password(world):
    with world.store.write() as session:
        code = code_for(world, session, "governor", log="birchwood", by="laura")
        with pytest.raises(WrongCredentials, match="taken"):
            enrol(world, session, code, "adam", "another password")
        adam = enrol(world, session, code, "adam", PASSWORD)
    assert adam.roles == {"oakfield": {"teacher"}, "birchwood": {"governor"}}
    assert sign_in(world, "adam"), "with the second factor that he had before"


@pytest.mark.parametrize(
    ("username", "password", "code"),
    [
        ("helen", "wrong password", None),
        ("helen", PASSWORD, "000000"),
        ("helen", PASSWORD, ""),
        ("helen", PASSWORD, "１２３４５６"),
        ("nobody", PASSWORD, "000000"),
        ("", "", "x"),
    ],
)
def test_wrong_words_at_the_door(world, username, password, code):
    with pytest.raises(WrongCredentials):
        sign_in(world, username, password, code or (now_code(world, "helen", 5) if code is None else "nonsense"))


def test_a_code_of_the_step_before_and_after_holds_and_none_beyond(world):
    world.clock.forward(minutes=10)
    for ahead in (-1, 1):
        assert sign_in(world, code=now_code(world, "helen", ahead))
    for ahead in (-2, 2):
        with pytest.raises(WrongCredentials):
            sign_in(world, code=now_code(world, "helen", ahead))


def test_a_code_seen_over_the_shoulder_is_of_no_use_elsewhere(world):
    world.clock.forward(minutes=5)
    assert sign_in(world, address="10.0.0.1")
    assert sign_in(world, address="10.0.0.1"), "the same device may try again while the code lasts"
    with pytest.raises(WrongCredentials, match="has been used"):
        sign_in(world, address="10.0.0.2")


def test_a_code_holds_once_for_each_purpose(world):
    with world.store.write() as session:
        helen = world.who(session, "helen").id
        code = now_code(world, "helen")
        world.registry.check_code(session, helen, code, "approve 1")
        world.registry.check_code(session, helen, f" {code[:3]} {code[3:]} ", "approve 2")
        with pytest.raises(WrongCredentials, match="has been used"):
            world.registry.check_code(session, helen, code, "approve 1")
        with pytest.raises(WrongCredentials):
            world.registry.check_code(session, "p-nobody", code, "approve 1")


def signed_in(world, cookie, *, touch=False):
    with world.store.write() as session:
        person = world.registry.signed_in(session, cookie)
        if touch:
            world.registry.touch(session, cookie)
        try:
            signer = world.registry.signer(session, cookie, "oakfield")
        except WrongCredentials:
            signer = None
        assert (person is None) is (signer is None), "who is not signed in does not sign"
        return person is not None


def test_a_session_ends_when_idle_and_at_last(world):
    cookie = sign_in(world)
    world.clock.forward(hours=1)
    assert signed_in(world, cookie)
    world.clock.forward(seconds=1)
    assert not signed_in(world, cookie), "idle for more than an hour"
    cookie = sign_in(world)
    for _ in range(16):
        assert signed_in(world, cookie, touch=True)
        world.clock.forward(minutes=45)
    assert signed_in(world, cookie, touch=True), "twelve hours, always in use"
    world.clock.forward(seconds=1)
    assert not signed_in(world, cookie)


def test_who_signs_out_is_out_and_what_is_over_is_forgotten(world):
    first, second = sign_in(world), sign_in(world)
    with world.store.write() as session:
        world.registry.sign_out(session, first)
    assert (signed_in(world, first), signed_in(world, second)) == (False, True)
    world.clock.forward(hours=13)
    with world.store.write() as session:
        world.registry.purge_sessions(session)
    world.clock.forward(hours=-13)
    assert not signed_in(world, second)


@pytest.mark.parametrize("cookie", ["", "made up", "x" * 5000])
def test_a_made_up_cookie_is_nobodys(world, cookie):
    with world.store.write() as session:
        assert world.registry.signed_in(session, cookie) is None
        with pytest.raises(WrongCredentials):
            world.registry.signer(session, cookie, "oakfield")


def test_a_signer_signs_where_she_has_a_role_with_the_enrolment_that_carries_most(world):
    with world.store.write() as session:
        with pytest.raises(NotAllowed, match="no role at this school"):
            world.signer(session, "helen", "birchwood")
        before = world.signer(session, "helen")
        enrol(world, session, code_for(world, session, "dsl"), "helen")
        assert world.who(session, "helen").at("oakfield") == {"headteacher", "dsl"}
        assert world.signer(session, "helen") == before, "the headteacher's enrolment, though the DSL's is newer"
        entry = world.office.book(session, "oakfield").entry(before.enrolled)
        assert (entry["person"], entry["roles"]) == (before.person, ["headteacher"])
