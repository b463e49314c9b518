"""Passkeys: registered, signing in, signing exactly one change; and everything that must not pass for it."""

import base64
import json

import pytest

from change_control import keys, standing
from change_control.authority import NotAllowed
from change_control.changes import SiteWish
from change_control.lifecycle import State
from change_control.passkeys import Passkeys, Where, url64
from change_control.people import WrongCredentials
from change_control.tables import ChangeRow
from change_control.verify import DoesNotAgree, verify_installation
from policy.decide import Question, decide
from policy.live import Live
from policy.proof import challenge, digest
from policy.rules import Action

ORIGIN = "https://desk.oakfield.example:8443"
LOG = "oakfield"


@pytest.fixture
def passkeys(world) -> Passkeys:
    return Passkeys(world.registry, Where(ORIGIN))


def add(world, passkeys, device, username="helen", **wrong):
    with world.store.write() as session:
        who, signer = world.who(session, username), world.signer(session, username)
        made, state = passkeys.state(f"add {who.id}")
        answer = device.create(base64.urlsafe_b64decode(made + "=="), **wrong)
        passkeys.add(session, who, [(LOG, signer)], "Phone", state, answer)


@pytest.fixture
def device(authenticator):
    return authenticator(ORIGIN)


def ask(world):
    with world.store.write() as session:
        wish = SiteWish("crazygames.com", Action.ALLOW, ("ks2",))
        return world.office.request(session, LOG, wish, by=world.who(session, "adam"), reason="for a lesson").id


def approve(world, passkeys, device, change, *, act="approve", over=None, **wrong):
    with world.store.write() as session:
        row = session.get_one(ChangeRow, change)
        shown = digest(row.diff)
        answer = device.get(challenge(act, LOG, over or shown), **wrong)
        helen = world.who(session, "helen")
        signer = passkeys.signer(session, helen, LOG, answer)
        return world.office.approve(session, row, helen, signer, shown)


def agreed(world):
    with world.store.write() as session:
        from change_control.publish import publish

        publish(session, world.office.key, world.data)
    with world.store.read() as session:
        return {one.log: one for one in verify_installation(session, world.data)}[LOG]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_the_signature_in_the_log_is_the_authenticators_over_exactly_the_diff(world, passkeys, authenticator, algorithm):
    device = authenticator(ORIGIN, algorithm)
    add(world, passkeys, device)
    change = ask(world)
    assert approve(world, passkeys, device, change) is State.IN_FORCE
    assert agreed(world).states[change] is State.IN_FORCE
    assert (
        decide(Live(world.data).snapshot, Question(LOG, "ks2", "crazygames.com", world.clock(), "/")).action is Action.ALLOW
    )
    with world.store.read() as session:
        entry = world.office.book(session, LOG).entry(session.get_one(ChangeRow, change).entry)
    (signature,) = entry["rests_on"]["signatures"]
    said = json.loads(base64.b64decode(signature["client"]))
    assert said["challenge"] == url64(
        challenge(
            "approve", LOG, digest(json.dumps(entry["diff"], sort_keys=True, separators=(",", ":"), ensure_ascii=False))
        )
    )
    assert signature["factor"] == "passkey"


@pytest.mark.parametrize(
    "wrong",
    [
        {"act": "ratify"},  # given for another act
        {"over": "0" * 64},  # over another diff
        {"verified": False},  # nobody was verified
        {"present": False},
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"kind": "webauthn.create"},
        {"cross": True},
        {"flip": True},
    ],
)
def test_what_does_not_pass_for_a_signature(world, passkeys, device, wrong):
    add(world, passkeys, device)
    change = ask(world)
    with pytest.raises(WrongCredentials):
        approve(world, passkeys, device, change, **wrong)
    assert agreed(world).states[change] is State.REQUESTED


@pytest.mark.parametrize("wrong", [{"verified": False}, {"origin": "https://evil.example"}, {"rp_id": "evil.example"}, {"kind": "webauthn.get"}, {"other": b"x" * 32}])  # fmt: skip
def test_what_does_not_pass_for_a_registration(world, passkeys, device, wrong):
    with pytest.raises(WrongCredentials):
        add(world, passkeys, device, **wrong)


@pytest.mark.parametrize("answer", ["", "{}", "[]", '{"attestationObject": "AA", "clientDataJSON": "AA"}', "x" * 100])
def test_strangers_bytes_are_no_registration(world, passkeys, answer):
    with world.store.write() as session:
        who, signer = world.who(session, "helen"), world.signer(session, "helen")
        _, state = passkeys.state(f"add {who.id}")
        with pytest.raises(WrongCredentials):
            passkeys.add(session, who, [(LOG, signer)], "Phone", state, answer)
        with pytest.raises(WrongCredentials):
            passkeys.signer(session, who, LOG, answer)


def test_an_authenticator_that_counts_backwards_was_copied(world, passkeys, device):
    add(world, passkeys, device)
    device.counter = 7
    assert approve(world, passkeys, device, ask(world)) is State.IN_FORCE
    device.counter = 5
    with pytest.raises(WrongCredentials, match="out of turn"):
        approve(world, passkeys, device, ask(world))


def test_another_persons_passkey_signs_nothing(world, passkeys, device):
    add(world, passkeys, device, "dora")
    with pytest.raises(WrongCredentials):
        approve(world, passkeys, device, ask(world))


def test_a_revoked_passkey_signs_no_more_and_one_that_did_all_the_same_is_found(world, passkeys, device):
    add(world, passkeys, device)
    first, change = ask(world), ask(world)
    approve(world, passkeys, device, first)
    with world.store.write() as session:
        helen = world.who(session, "helen")
        kept = passkeys.signer(
            session, helen, LOG, device.get(challenge("approve", LOG, digest(session.get_one(ChangeRow, change).diff)))
        )
        passkeys.revoke(session, helen, [(LOG, world.signer(session, "helen"))], device.credential)
        with pytest.raises(LookupError):
            passkeys.revoke(session, helen, [], device.credential)
    with pytest.raises(WrongCredentials):
        approve(world, passkeys, device, change)
    assert agreed(world).states[first] is State.IN_FORCE
    with world.store.write() as session:  # a desk gone bad writes it all the same
        row = session.get_one(ChangeRow, change)
        diff = json.loads(row.diff)
        rests = {"signatures": [kept.sign("approve", LOG, diff)]}
        world.office.put_in_force(world.office.book(session, LOG), row, diff, "approve", world.who(session, "helen"), rests)
    with world.store.read() as session, pytest.raises(DoesNotAgree, match="revoked"):
        verify_installation(session, world.data)


def test_a_passkey_that_the_person_did_not_sign_in_is_found(world, passkeys, device):
    add(world, passkeys, device)
    with world.store.write() as session:
        book = world.office.book(session, LOG)
        (good,) = standing.entries(session, book, "person.passkey")
        forged = {**good["passkey"], "id": "mine", "key": keys.b64(b"\x04" + b"1" * 64)}
        book.append("person.passkey", world.clock(), person=good["person"], passkey=forged, rests_on=good["rests_on"])
    with world.store.read() as session, pytest.raises(DoesNotAgree, match="did not sign this"):
        verify_installation(session, world.data)


# --- signing in -----------------------------------------------------------------------------------------------------------


def sign_in(world, passkeys, device, state=None):
    with world.store.write() as session:
        made, sealed = state or passkeys.state("sign-in")
        return passkeys.sign_in(session, sealed, device.get(base64.urlsafe_b64decode(made + "==")))


def test_signing_in_by_passkey_opens_no_key(world, passkeys, device):
    add(world, passkeys, device)
    cookie = sign_in(world, passkeys, device)
    with world.store.write() as session:
        helen = world.registry.signed_in(session, cookie)
        assert helen.name == "Helen"
        with pytest.raises(keys.Locked, match="password"):
            world.registry.signer(session, cookie, LOG)


def test_an_answer_signs_in_once_and_only_while_its_page_is_fresh(world, passkeys, device):
    add(world, passkeys, device)
    state = passkeys.state("sign-in")
    sign_in(world, passkeys, device, state)
    with pytest.raises(WrongCredentials, match="used already"):
        sign_in(world, passkeys, device, state)
    old = passkeys.state("sign-in")
    world.clock.forward(minutes=11)
    with pytest.raises(WrongCredentials, match="too old"):
        sign_in(world, passkeys, device, old)
    with pytest.raises(WrongCredentials):
        sign_in(world, passkeys, device, passkeys.state("add p-1"))


def test_a_state_is_for_one_person(world, passkeys, device):
    with world.store.write() as session:
        who, signer = world.who(session, "helen"), world.signer(session, "helen")
        made, state = passkeys.state("add somebody-else")
        with pytest.raises(WrongCredentials):
            passkeys.add(session, who, [(LOG, signer)], "x", state, device.create(base64.urlsafe_b64decode(made + "==")))


# --- sessions and recovery ------------------------------------------------------------------------------------------------


def test_sessions_are_listed_and_ended(world, passkeys, device):
    add(world, passkeys, device)
    first, second = sign_in(world, passkeys, device), sign_in(world, passkeys, device)
    with world.store.write() as session:
        helen = world.registry.signed_in(session, first).id
        assert len(world.registry.sessions(session, helen)) == 3
        world.registry.end_sessions(session, helen, keep=first)
        session.flush()
        session.expire_all()
        assert [world.registry.is_mine(row, first) for row in world.registry.sessions(session, helen)] == [True]
        assert world.registry.signed_in(session, second) is None


def test_a_lost_phone_is_replaced_with_a_recovery_code_once_and_it_is_recorded(world, passkeys):
    password, secret = "three random words", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    with world.store.write() as session:
        helen = world.who(session, "helen")
        old = passkeys.recovery_codes(session, helen.id)
        codes = passkeys.recovery_codes(session, helen.id)
        assert passkeys.left(session, helen.id) == len(set(codes)) == 8
    for username, given, code in (
        ("helen", password, old[0]),
        ("helen", "wrong words here", codes[0]),
        ("adam", password, codes[0]),
    ):
        with world.store.write() as session, pytest.raises(WrongCredentials):
            passkeys.recover(session, username, given, code, secret)
    with world.store.write() as session:
        passkeys.recover(session, "helen", password, codes[0].lower(), secret)
    with world.store.write() as session, pytest.raises(WrongCredentials):
        passkeys.recover(session, "helen", password, codes[0], secret)
    with world.store.read() as session:
        assert world.registry.signed_in(session, world.cookies["helen"]) is None
        assert passkeys.left(session, helen.id) == 7
        assert len(standing.entries(session, world.office.book(session, LOG), "person.recovered")) == 1
    world.secrets["helen"] = secret
    world.cookies.clear()
    world.cookie("helen")
    agreed(world)


def test_nobody_approves_with_a_passkey_what_she_asked_for_herself(world, passkeys, device):
    add(world, passkeys, device)
    with world.store.write() as session:
        helen = world.who(session, "helen")
        wish = SiteWish("crazygames.com", Action.ALLOW, ("ks2",))
        change = world.office.request(session, LOG, wish, by=helen, reason="mine").id
    assert approve(world, passkeys, device, change) is State.REQUESTED
    with pytest.raises(NotAllowed):
        approve(world, passkeys, device, change)
