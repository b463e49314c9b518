"""The token reader meets strangers' bytes: it never raises, and never takes what was not signed here."""

from hypothesis import given
from hypothesis import strategies as st

from proxy import tokens

KEY = b"k" * 32
FIELDS = {"host": "games.test", "address": "10.0.0.7"}


def test_what_was_signed_is_read_back():
    token = tokens.sign(KEY, "ask", FIELDS, 1000)
    assert tokens.read(KEY, "ask", token, 1100, 600) == FIELDS


def test_another_purpose_key_or_time_is_refused():
    token = tokens.sign(KEY, "ask", FIELDS, 1000)
    assert tokens.read(KEY, "pass", token, 1100, 600) is None
    assert tokens.read(b"x" * 32, "ask", token, 1100, 600) is None
    assert tokens.read(KEY, "ask", token, 1601, 600) is None
    assert tokens.read(KEY, "ask", token, 900, 600) is None


@given(
    st.one_of(
        st.text(), st.binary().map(lambda data: data.decode("latin-1")), st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_=-]*")
    )
)
def test_anything_else_is_refused_quietly(text):
    assert tokens.read(KEY, "ask", text, 1000, 600) is None


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_refused(place, change):
    token = tokens.sign(KEY, "ask", FIELDS, 1000)
    place %= len(token)
    bent = token[:place] + chr(ord(token[place]) ^ change) + token[place + 1 :]
    found = tokens.read(KEY, "ask", bent, 1100, 600)
    assert found is None or found == FIELDS  # base64 has spare bits in its last letter; what was signed stays the same


@given(
    st.dictionaries(st.text(max_size=20).filter(lambda name: name != "at"), st.text(max_size=50), max_size=5),
    st.integers(0, 2**40),
)
def test_any_fields_survive(fields, at):
    assert tokens.read(KEY, "ask", tokens.sign(KEY, "ask", fields, at), at, 600) == fields
