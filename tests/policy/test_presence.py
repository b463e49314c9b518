"""Who is at an address, as processes read it from the table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.presence import Presence, Present, canonical, line, network_of

NOW = 1000.0
KIM = Present("one", "d-1", "lease", "p-1", "radius", "kim@one", ("Staff",))


@pytest.fixture
def table(tmp_path):
    return tmp_path / "presence"


def append(table, *lines):
    with table.open("ab") as file:
        file.write(b"".join(lines))


def test_lines_are_read_on(table):
    presence = Presence(table)
    assert not presence.refresh(NOW), "there is no table yet"
    append(table, line("10.1.0.5", NOW + 60, KIM))
    assert presence.refresh(NOW)
    assert presence.at("10.1.0.5") == KIM
    assert not presence.refresh(NOW), "nothing was written since"
    append(table, line("10.1.0.5", 0, None), line("10.1.0.6", NOW + 60, KIM)[:20])
    assert presence.refresh(NOW)
    assert presence.at("10.1.0.5") is None
    append(table, line("10.1.0.6", NOW + 60, KIM)[20:])
    assert presence.refresh(NOW)
    assert presence.at("10.1.0.6") == KIM


def test_what_is_renewed_stays_the_same_object_and_changes_nothing(table):
    presence = Presence(table)
    append(table, line("10.1.0.5", NOW + 60, KIM))
    presence.refresh(NOW)
    held, version = presence.at("10.1.0.5"), presence.version
    append(table, line("10.1.0.5", NOW + 600, KIM))
    assert not presence.refresh(NOW + 1)
    assert presence.at("10.1.0.5") is held
    assert presence.version == version
    assert not presence.refresh(NOW + 100), "renewed"


def test_an_end_needs_no_writer(table):
    presence = Presence(table)
    append(table, line("10.1.0.5", NOW + 60, KIM), line("10.1.0.6", NOW - 1, KIM))
    presence.refresh(NOW)
    assert presence.at("10.1.0.6") is None, "it was over when it was read"
    assert presence.refresh(NOW + 61)
    assert presence.at("10.1.0.5") is None


def test_another_file_is_read_from_its_beginning(table, tmp_path):
    presence = Presence(table)
    append(table, line("10.1.0.5", NOW + 60, KIM), line("10.1.0.6", NOW + 60, KIM))
    presence.refresh(NOW)
    kept = presence.at("10.1.0.5")
    aside = tmp_path / "aside"
    append(aside, line("10.1.0.5", NOW + 60, KIM))
    aside.replace(table)
    assert presence.refresh(NOW)
    assert presence.at("10.1.0.5") is kept
    assert presence.at("10.1.0.6") is None
    assert presence.since(presence.version - 1) == {"10.1.0.6"}


def test_since_says_which_addresses_changed(table):
    presence = Presence(table)
    for n in range(3):
        append(table, line(f"10.1.0.{n}", NOW + 60, KIM))
        presence.refresh(NOW)
    assert presence.since(3) == frozenset()
    assert presence.since(1) == {"10.1.0.1", "10.1.0.2"}
    for n in range(100):
        append(table, line(f"10.1.1.{n}", NOW + 60, KIM))
        presence.refresh(NOW)
    assert presence.since(3) is None, "too long ago: look at everything"


def test_a_network_of_one_device(table):
    presence = Presence(table)
    append(table, line("2001:db8:1:2::/64", NOW + 60, KIM))
    presence.refresh(NOW)
    assert presence.at("2001:db8:1:2::77") == KIM
    assert presence.at("2001:db8:1:3::77") is None
    assert presence.since(0) is None, "all of its addresses"


@pytest.mark.parametrize(
    ("given", "plain"), [("::ffff:10.1.2.3", "10.1.2.3"), ("fe80::1%eth0", "fe80::1"), ("2001:DB8::0:1", "2001:db8::1")]
)
def test_addresses_in_one_form(given, plain):
    assert canonical(given) == plain


def test_the_network_of_an_address():
    assert network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60), st.just(b"[]"), st.just(b'["a",1,2,3,4,5,6,7,8]'), st.just(b'["a",1,[],{},0,0,0,0,[]]')
        )
    )
)
def test_no_bytes_raise(tmp_path_factory, lines):
    table = tmp_path_factory.mktemp("presence") / "table"
    table.write_bytes(b"\n".join(lines) + b"\n" + line("10.1.0.5", NOW + 60, KIM))
    presence = Presence(table)
    presence.refresh(NOW)
    assert presence.at("10.1.0.5") == KIM
