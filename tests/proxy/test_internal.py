from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.identity import Client
from proxy import tokens
from proxy.block_page import ASK_PURPOSE, Pages
from proxy.internal import Internal
from proxy.visits import Visit

KEY = b"k" * 32
CLIENT = Client("hillview", "ks3", "net", "network")
TOLD = {"school": "hillview", "group": "ks3", "host": "games.test", "path": "/x", "address": "10.0.0.7"}


@pytest.fixture(scope="module")
def site():
    return Internal(KEY, Pages(KEY, "https://desk.test"), b"PEM")


def visit(now=1000.0, address="10.0.0.7", method="POST", path="/ask"):
    return Visit(CLIENT, address, method, path, now)


def form(**fields):
    return urlencode({"token": tokens.sign(KEY, ASK_PURPOSE, TOLD, 1000), "reason": "for chess", **fields}).encode()


def test_an_ask_becomes_an_event_with_clean_short_words(site):
    events = []
    body = form(reason="a\u202e\n  b\0" + "c" * 900, for_class="Year 8\r\n" + "d" * 200)
    assert site.answer(visit(), body, events.append).status == 200
    (event,) = events
    assert (event.detail[:5], len(event.detail), event.term[:8], len(event.term)) == ("a b c", 500, "Year 8 d", 80)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (form(reason="  "), 400),
        (form(token="x"), 400),
        (b"", 400),
        (b"&".join([b"a=1"] * 50), 400),
        (b"\xff\xfe=%ff", 400),
    ],
)
def test_a_bad_form_is_refused(site, body, status):
    assert site.answer(visit(), body, lambda _: pytest.fail("recorded")).status == status


def test_a_form_is_for_its_own_time_and_place(site):
    fail = lambda _: pytest.fail("recorded")  # noqa: E731
    assert site.answer(visit(now=3000), form(), fail).status == 400
    assert site.answer(visit(address="10.0.0.8"), form(), fail).status == 400


def test_five_asks_in_ten_minutes():
    fresh, events = Internal(KEY, Pages(KEY, ""), b""), []
    statuses = [fresh.answer(visit(now=1000.0 + n), form(), events.append).status for n in range(6)]
    assert statuses == [200] * 5 + [429]
    assert fresh.answer(visit(now=1601.0), form(), events.append).status == 200
    assert len(events) == 6
    assert len({event.outcome for event in events}) == 6


@given(st.binary(max_size=300))
def test_any_body_gets_an_answer(body):
    events = []
    answer = Internal(KEY, Pages(KEY, ""), b"").answer(visit(), body, events.append)
    assert (answer.status, events) == (400, [])


@pytest.mark.parametrize(("method", "path"), [("GET", "/ask"), ("POST", "/"), ("PUT", "/ask"), ("GET", "/x")])
def test_there_is_nothing_else(site, method, path):
    assert site.answer(visit(method=method, path=path), b"", pytest.fail).status == 404
