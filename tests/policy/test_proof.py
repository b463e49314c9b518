"""What ties a document to a headteacher's signature, and every way in which it may not hold."""

import base64
import contextlib
import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from category_lists.weigh import vouches
from change_control.keys import AuthorityKey, Signer, b64, public_of
from policy.grounds import check_authority, check_part, references, undone
from policy.proof import Checkpoint, ProofRefused, canonical, digest, parse_entry, read_checkpoint

from .conftest import HELEN, KEY, Log

DORA = Signer("p-dora", 2, b"d" * 32)
TOM = Signer("p-tom", 3, b"t" * 32)
ROLES = {HELEN: ["headteacher"], DORA: ["deputy"], TOM: ["technician"]}
DIFF = {"kind": "site", "change": 1, "add": {"site_rules": [{"id": "s1"}]}, "remove": {}, "set": {}}
LIST = {"kind": "dictionary", "change": 2, "add": {}, "remove": {}, "set": {"dictionary": ["old", "new"]}}
TERMS = {"kinds": ["dictionary"], "roles": ["technician"], "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z"}
NOON = "2026-11-20T12:00:00Z"


def made(n, kind, **values):
    return {"v": 1, "log": "oakfield", "tier": "school", "n": n, "at": NOON, "kind": kind, **values}


def enrolment(signer, **other):
    key = b64(public_of(signer.private))
    return made(signer.enrolled, "person.enrolled", person=signer.person, roles=ROLES[signer], key=key) | other


PEOPLE = {signer.enrolled: enrolment(signer) for signer in ROLES}


def signed(*signers, act="approve", log="oakfield", over=DIFF):
    return {"signatures": [signer.sign(act, log, over) for signer in signers]}


def approved(rests_on, **other):
    return made(9, "change.approved", change=1, diff=DIFF, requested_by="p-tom", rests_on=rests_on) | other


def mandate(n=5, terms=TERMS, **other):
    return made(n, "mandate.signed", mandate=terms, rests_on=signed(HELEN, act="mandate", over=terms)) | other


def mandated(**other):
    return made(9, "change.mandated", diff=LIST, by="console", by_roles=["technician"], rests_on={"mandate": 5}) | other


LET_THROUGH = mandated(n=8)


def lapse(**other):
    return made(9, "change.lapsed", diff=undone(LIST), rests_on={"mandate": 5, "of": 8}) | other


# --- canonical JSON -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, False, None]}, '{"a":[true,false,null],"b":1}'),
        ({"": 1, "A": 2, "a": 3, "1": 4, "10": 5, "2": 6}, '{"":1,"1":4,"10":5,"2":6,"A":2,"a":3}'),
        # RFC 8785, 3.2.2, its string: only what must be escaped is, and that in the shortest way
        ({"string": '\u20ac$\u000f\nA\'B"\\\\"/'}, '{"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'),
        ("\b\t\n\f\r\x00\x1f\x7f\u2028", '"\\b\\t\\n\\f\\r\\u0000\\u001f\x7f\u2028"'),
        (("a", 2), '["a",2]'),
        (-7, "-7"),
        ({}, "{}"),
    ],
)
def test_canonical_json(value, text):
    assert canonical(value) == text
    assert canonical(json.loads(text)) == text


@pytest.mark.parametrize(
    "value", ["\ud800", {"a": ["\udfff"]}, 1.0, {"a": float("nan")}, {"ä": 1}, {1: 2}, {"a": {"é": 1}}, {"a": object()}, b"x"]
)
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises((ValueError, TypeError)):
        canonical(value)


@pytest.mark.parametrize("leaf", ["", "{", '{"b":1,"a":2}', '{"a": 1}', "[]", '"text"', '{"a":1}\n', '{"\\u0061":1}'])
def test_an_entry_has_one_form(leaf):
    with pytest.raises(ProofRefused):
        parse_entry(leaf)


# --- checkpoints ----------------------------------------------------------------------------------------------------------

CHECKPOINT = Checkpoint("schoolgate/birchwood/oakfield", 7, bytes(range(32)))
NOTE = KEY.sign(CHECKPOINT)


def test_a_signed_note_holds():
    assert read_checkpoint(NOTE, "birchwood", KEY.public) == CHECKPOINT
    another = KEY.sign(Checkpoint("x", 1, b"r" * 32)).rpartition("\n\n")[2].replace("birchwood", "a-witness")
    assert read_checkpoint(NOTE + another, "birchwood", KEY.public) == CHECKPOINT, "a further signature does no harm"


@pytest.mark.parametrize(
    ("note", "name", "public"),
    [
        (NOTE, "birchwood", AuthorityKey("birchwood", b"b" * 32).public),
        (NOTE, "birchwood", b"short"),
        (NOTE, "elsewhere", KEY.public),
        (KEY.sign(CHECKPOINT).replace("\n7\n", "\n8\n"), "birchwood", KEY.public),
        (KEY.sign(Checkpoint("x", 7, b"too short")), "birchwood", KEY.public),
        (NOTE.partition("\n\n")[0], "birchwood", KEY.public),
        (NOTE.partition("\n\n")[0] + "\n\n", "birchwood", KEY.public),
        (NOTE.replace("\n7\n", "\n٧\n"), "birchwood", KEY.public),
        ("", "birchwood", KEY.public),
    ],
)
def test_a_note_that_does_not_hold(note, name, public):
    with pytest.raises(ProofRefused):
        read_checkpoint(note, name, public)


def test_every_flipped_bit_of_a_note_is_refused_or_changes_nothing():
    data = NOTE.encode()
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            with contextlib.suppress(ValueError):
                assert read_checkpoint(flipped.decode(), "birchwood", KEY.public) == CHECKPOINT


@given(st.text() | st.text().map(lambda text: text + "\n\n— birchwood " + text))
def test_no_text_is_a_note_by_chance(text):
    with pytest.raises(ProofRefused):
        read_checkpoint(text, "birchwood", KEY.public)


# --- authority ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "also"),
    [
        (made(0, "log.founded", rests_on={"founding": True}), {}),
        (approved(signed(HELEN)), {}),
        (approved(signed(HELEN, DORA), requested_by="p-helen"), {}),
        (mandated(), {5: mandate()}),
        (mandated(at="2026-11-01T00:00:00Z"), {5: mandate()}),
        (lapse(), {5: mandate(), 8: LET_THROUGH}),
        (lapse(at="2027-03-01T00:00:00Z"), {5: mandate(), 8: LET_THROUGH}),  # long after the mandate ended
    ],
)
def test_what_rests_on_the_heads_signature(entry, also):
    check_authority(entry, PEOPLE | also)


FORGED = signed(HELEN)
FORGED["signatures"][0]["signature"] = b64(b"\x00" * 64)
NOT_BASE64 = signed(HELEN)
NOT_BASE64["signatures"][0]["signature"] = "***"


@pytest.mark.parametrize(
    ("entry", "also", "why"),
    [
        (made(1, "log.founded", rests_on={"founding": True}), {}, "only the first entry"),
        (approved({}), {}, "is not signed by the headteacher"),
        (approved(None), {}, "is not signed by the headteacher"),
        (approved({"signatures": []}), {}, "is not signed by the headteacher"),
        (approved(signed(DORA)), {}, "is not signed by the headteacher"),
        (approved(signed(TOM)), {}, "is not signed by the headteacher"),
        (approved(signed(HELEN), tier="authority"), {}, "is not signed by the la officer"),
        (approved(signed(HELEN, over=LIST)), {}, "does not hold"),
        (approved(signed(HELEN, log="hillview")), {}, "does not hold"),
        (approved(FORGED), {}, "does not hold"),
        (approved(NOT_BASE64), {}, "base64"),
        (approved(signed(Signer("p-helen", 1, b"x" * 32))), {}, "does not hold"),  # another key
        (approved(signed(Signer("p-tom", 1, HELEN.private))), {}, "does not hold"),  # another name
        (approved(signed(Signer("p-tom", 3, HELEN.private))), {}, "does not hold"),
        (approved(signed(Signer("p-helen", 7, HELEN.private))), {}, "does not hold"),  # no such enrolment
        (approved(signed(HELEN)), {1: enrolment(HELEN, log="hillview")}, "does not hold"),  # head of another school
        (approved(signed(HELEN)), {1: enrolment(HELEN, kind="person.invited")}, "does not hold"),
        (approved(signed(HELEN), diff=LIST), {}, "does not hold"),
        # her own request
        (approved(signed(HELEN), requested_by="p-helen"), {}, "by the same person alone"),
        (approved(signed(HELEN, HELEN), requested_by="p-helen"), {}, "by the same person alone"),
        (approved(signed(HELEN, TOM), requested_by="p-helen"), {}, "by the same person alone"),
        (approved(signed(HELEN), requested_by="p-helen"), {1: enrolment(HELEN, roles=["headteacher", "la_officer"])}, "by the same person alone"),
        # mandates
        (mandated(), {}, "mandate that is not there"),
        (mandated(rests_on={"mandate": 1}), {}, "mandate that is not there"),  # an enrolment is none
        (mandated(n=4), {5: mandate()}, "mandate that is not there"),  # signed afterwards
        (mandated(), {5: mandate(rests_on=signed(DORA, act="mandate", over=TERMS))}, "is not signed by the headteacher"),
        (mandated(), {5: mandate(rests_on=signed(HELEN, act="mandate", over=DIFF))}, "does not hold"),
        (mandated(), {5: mandate(mandate=TERMS | {"until": "2027-12-01T00:00:00Z"})}, "does not hold"),  # made longer
        (mandated(diff=DIFF), {5: mandate()}, "does not cover site"),
        (mandated(by_roles=["teacher"]), {5: mandate()}, "does not cover who acted"),
        (mandated(by_roles=[]), {5: mandate()}, "does not cover who acted"),
        (mandated(diff=LIST | {"lists": [{"id": "vouching-news"}]}), {5: mandate()}, "vouching-news opens sites"),
        (mandated(diff=LIST | {"lists": [{"id": "corrections-oakfield-games"}]}), {5: mandate()}, "opens sites"),
        (mandated(diff=LIST | {"lists": [{"id": "news", "exceptions": 1}]}), {5: mandate()}, "news opens sites"),
        (mandated(at="2026-12-01T00:00:00Z"), {5: mandate()}, "not in force"),
        (mandated(at="2026-10-31T23:59:59Z"), {5: mandate()}, "not in force"),
        # lapses
        (lapse(), {5: mandate()}, "no mandate let through"),
        (lapse(), {5: mandate(), 8: LET_THROUGH | {"rests_on": {"mandate": 4}}}, "no mandate let through"),
        (lapse(), {5: mandate(), 8: approved(signed(HELEN), n=8)}, "no mandate let through"),
        (lapse(diff=undone(DIFF)), {5: mandate(), 8: LET_THROUGH}, "does not undo"),
        (lapse(diff=LIST), {5: mandate(), 8: LET_THROUGH}, "does not undo"),
    ],
)  # fmt: skip
def test_what_does_not(entry, also, why):
    with pytest.raises(ProofRefused, match=why):
        check_authority(entry, PEOPLE | also)


def test_an_entry_names_what_it_rests_on():
    assert references(approved(signed(HELEN, DORA))) == {1, 2}
    assert references(lapse()) == {5, 8}
    assert references(made(3, "person.enrolled", rests_on={"invited": 2})) == {2}
    assert references(made(0, "log.founded")) == set()


# --- a published part -----------------------------------------------------------------------------------------------------


DOCUMENT = '{"kind":"school","log":"oakfield"}'


@pytest.fixture(scope="module")
def part():
    log = Log()
    for n in range(10):
        log.add(
            PEOPLE[n] if n in PEOPLE else approved(signed(HELEN, DORA), policy={"digest": digest(DOCUMENT)}, n=n)
            if n == 9 else made(n, "change.requested")
        )  # fmt: skip
    return log.part(DOCUMENT, 9, 1, 2)


def proven(part):
    return check_part(part, authority="birchwood", log="oakfield", public=KEY.public)


def test_a_good_part_is_proven(part):
    found = proven(part)
    assert (found.text, found.size, found.entry) == (DOCUMENT, 10, 9)


@pytest.mark.parametrize(
    ("authority", "log", "public"),
    [("elsewhere", "oakfield", KEY.public), ("birchwood", "hillview", KEY.public), ("birchwood", "oakfield", HELEN.private)],
)
def test_a_part_is_of_one_log_of_one_authority(part, authority, log, public):
    with pytest.raises(ProofRefused):
        check_part(part, authority=authority, log=log, public=public)


def places(value, path=()):
    """Every key and every index in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def test_a_part_of_which_something_is_missing_or_is_another_thing_proves_nothing_else(part):
    for path in list(places(part)):
        for other in ("gone", None, 1, -1, "", [], {}, "\ud800", [[]], 2.5, True):
            damaged = copy.deepcopy(part)
            inside = damaged
            for step in path[:-1]:
                inside = inside[step]
            if other == "gone":
                del inside[path[-1]]
            else:
                inside[path[-1]] = other
            refused_or_the_same(damaged)


def refused_or_the_same(part):
    with contextlib.suppress(ProofRefused):
        assert proven(part).text == DOCUMENT


@given(st.data())
def test_a_part_with_one_other_character_proves_nothing_else(part, data):
    text = json.dumps(part, ensure_ascii=False)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(['"', "\\", "{", "0", "1", "9", "A", "a", "=", "+", "/", "\n"]) | st.characters())
    try:
        damaged = json.loads(text[:place] + other + text[place + 1 :])
    except ValueError:
        return
    refused_or_the_same(damaged)


@pytest.mark.parametrize(
    "part_", [None, [], "", 1, {}, {"document": DOCUMENT, "proof": []}, {"document": "x", "proof": {"entries": 1}}]
)
def test_what_is_no_part_is_refused(part_):
    with pytest.raises(ProofRefused):
        proven(part_)


def test_another_document_another_order_and_a_missing_enrolment_are_refused(part):
    entries = part["proof"]["entries"]
    for document, order in ((DOCUMENT + " ", [0, 1, 2]), (DOCUMENT, [1, 0, 2]), (DOCUMENT, [0, 2]), (DOCUMENT, [])):
        proof = part["proof"] | {"entries": [entries[n] for n in order]}
        with pytest.raises(ProofRefused):
            proven({"document": document, "proof": proof})


def test_an_entry_under_another_number_is_refused(part):
    damaged = copy.deepcopy(part)
    for n in range(-1, 11):
        damaged["proof"]["entries"][0]["n"] = n
        if n != 9:
            with pytest.raises(ProofRefused):
                proven(damaged)


def test_a_path_that_is_too_long_or_too_short_is_refused(part):
    damaged = copy.deepcopy(part)
    path = damaged["proof"]["entries"][0]["path"]
    for other in (path[:-1], [*path, path[0]], [base64.b64encode(b"x").decode(), *path[1:]], ["*"]):
        damaged["proof"]["entries"][0]["path"] = other
        with pytest.raises(ProofRefused):
            proven(damaged)


# --- a feed's update rests on its subscription ----------------------------------------------------------------------------

BOUNDS = {"max_shrink_percent": 10, "max_growth_percent": 25, "max_entries": 100, "categories": ["games"]}
SUB_TERMS = {**TERMS, "roles": ["feed:f"], "feed": {"id": "f", "name": "F"}, "bounds": BOUNDS}
SUB = {"kind": "subscription", "change": 1, "add": {}, "remove": {}, "set": {}, "terms": SUB_TERMS}
ONE = {"id": "f", "category": "games", "before": 50, "entries": 51, "added": 2, "removed": 1, "exceptions": 0}
UPDATE = {**LIST, "lists": [ONE], "feed": "f"}


def subscribed(terms=SUB_TERMS, signers=(HELEN,), **other):
    diff = {**SUB, "terms": terms}
    return made(5, "change.approved", change=1, diff=diff, requested_by="p-tom", rests_on=signed(*signers, over=diff)) | other


def updated(diff=UPDATE, **other):
    return made(9, "change.updated", diff=diff, by="feed:f", by_roles=["feed:f"], rests_on={"subscription": 5}) | other


def test_an_update_within_the_bounds_rests_on_the_subscription_alone():
    assert references(updated()) == {5}
    check_authority(updated(), {**PEOPLE, 5: subscribed()})


def test_a_subscription_may_say_that_its_lists_vouch():
    assert vouches("vouching-f")  # the same beginning of a name there as in the proof, which is read alone, too
    signed_so = subscribed({**SUB_TERMS, "bounds": {**BOUNDS, "vouches": True}})
    check_authority(updated({**UPDATE, "lists": [ONE | {"id": "vouching-f"}]}), {**PEOPLE, 5: signed_so})


@pytest.mark.parametrize(
    ("entry", "subscription", "why"),
    [
        (updated(), None, "not there"),
        (updated(), mandate(), "not there"),
        (updated(), subscribed(n=9), "not there"),
        (updated(), subscribed(signers=(TOM,)), "not signed by the headteacher"),
        (updated(), subscribed() | {"diff": {**SUB, "terms": {**SUB_TERMS, "roles": ["technician"]}}}, "does not hold"),
        (updated(kind="change.approved"), subscribed(), "nothing else"),
        (updated({**UPDATE, "kind": "recategorise"}), subscribed(), "nothing else"),
        (updated({**UPDATE, "set": {"dictionary": ["a", "b"], "authority": ["a", "b"]}}), subscribed(), "nothing else"),
        (updated({**UPDATE, "set": {}}), subscribed(), "nothing else"),
        (updated({**UPDATE, "add": {"site_rules": [{"id": "s1"}]}}), subscribed(), "nothing else"),
        (updated({**UPDATE, "remove": {"site_rules": [{"id": "s1"}]}}), subscribed(), "nothing else"),
        (updated({**UPDATE, "feed": "g"}), subscribed(), "another feed"),
        (updated(by_roles=["technician"]), subscribed(), "another feed"),
        (updated(at="2026-12-02T00:00:00Z"), subscribed(), "not in force"),
        (updated(at="2026-10-02T00:00:00Z"), subscribed(), "not in force"),
        (updated(), subscribed({**SUB_TERMS, "ratify_days": 60}), "have each update ratified"),
        (updated({**UPDATE, "lists": []}), subscribed(), "names no list"),
        (updated({**UPDATE, "lists": [ONE | {"category": "dating"}]}), subscribed(), "does not name"),
        (updated({**UPDATE, "lists": [ONE | {"removed": 9, "entries": 43}]}), subscribed(), "loses 9"),
        (updated({**UPDATE, "lists": [ONE | {"exceptions": 1}]}), subscribed(), "opens 1"),
        (updated({**UPDATE, "lists": [ONE | {"id": "vouching-f"}]}), subscribed(), "vouching-f vouches"),
    ],
)
def test_what_a_subscription_does_not_cover(entry, subscription, why):
    known = {**PEOPLE} | ({5: subscription} if subscription else {})
    with pytest.raises(ProofRefused, match=why):
        check_authority(entry, known)
