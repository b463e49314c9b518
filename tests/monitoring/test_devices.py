"""The register of devices: what is seen, what is said, and the table that comes and goes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import devices
from monitoring.devices import Names, Seen, Wanted
from monitoring.log import Log

NOW = datetime(2026, 11, 24, 11, tzinfo=UTC).timestamp()
MAC, OTHER = "00:11:22:aa:bb:cc", "02:ff:ee:00:00:01"
NAMES = Names(b"k" * 32)


def seen(mac=MAC, *, school="hill", at=NOW, name="", addresses=("10.1.0.5",), user=""):
    device, person = NAMES.of(school, "d", mac), NAMES.of(school, "p", user)
    return Seen(school, device, mac, name, addresses, "neighbour", person, user, at)


@pytest.fixture
def log(tmp_path):
    made = Log(f"sqlite:///{tmp_path / 'log.sqlite3'}")
    yield made
    made.close()


def test_first_and_last_seen(log):
    assert devices.take(log, [seen(), seen(OTHER, school="oak")]) == 2
    assert devices.take(log, [seen(at=NOW + 5)]) == 0, "nothing new within a minute"
    assert devices.take(log, [seen(at=NOW + 6, name="laptop", addresses=("10.1.0.6",))]) == 1
    assert devices.take(log, [seen(at=NOW + 7, addresses=("10.1.0.6",))]) == 0, "a name that was told stays"
    (one,) = devices.search(log, "hill", Wanted())
    assert (one.first_seen, one.last_seen) == (NOW * 1e6, (NOW + 6) * 1e6)
    assert (one.called, one.addresses) == ("laptop", ("10.1.0.6",))


def test_what_people_say_stays_when_it_is_seen_again(log):
    devices.take(log, [seen(name="DESKTOP-7")])
    (one,) = devices.search(log, "hill", Wanted())
    devices.describe(log, "hill", one.device, {"name": "Library 3", "room": "Library", "standing": "managed", "told": "no"})
    devices.take(log, [seen(at=NOW + 100, name="DESKTOP-7")])
    one = devices.one(log, "hill", MAC)
    assert (one.called, one.room, one.standing, one.told) == ("Library 3", "Library", "managed", "DESKTOP-7")
    with pytest.raises(LookupError):
        devices.describe(log, "oak", one.device, {"name": "theirs"})
    with pytest.raises(ValueError, match="managed"):
        devices.describe(log, "hill", one.device, {"standing": "ours"})
    with pytest.raises(ValueError, match="letters"):
        devices.describe(log, "hill", one.device, {"name": "x" * 81})


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", 2),
        ("lib", 1),
        ("LIBRARY", 1),
        ("00-11-22-AA-BB-CC", 1),
        ("0011.22aa.bbcc", 1),
        ("10.1.0.5", 1),
        ("%", 0),
        ("_", 0),
        ("lib 10.1.0.5", 1),
        ("lib 10.1.0.6", 0),
    ],
)
def test_searching(log, words, found):
    devices.take(log, [seen(), seen(OTHER, addresses=("10.1.0.6",)), seen(OTHER, school="oak")])
    devices.describe(log, "hill", NAMES.of("hill", "d", MAC), {"name": "Library 3", "standing": "managed"})
    assert len(devices.search(log, "hill", Wanted(words))) == found
    assert len(devices.search(log, "hill", Wanted(standing="none"))) == 1
    assert devices.counts(log, "hill") == {"": 1, "managed": 1}
    assert len(devices.search(log, "hill", Wanted(since=int((NOW + 1) * 1e6)))) == 0


def test_whom_pseudonyms_stand_for(log):
    devices.take(log, [seen(user="kim@hill")])
    device, person = NAMES.of("hill", "d", MAC), NAMES.of("hill", "p", "kim@hill")
    assert devices.called(log, "hill", [device, person, "10.1.0.5", "p-0"]) == {device: MAC, person: "kim@hill"}
    assert devices.called(log, "oak", [device, person]) == {}


def test_what_nobody_described_is_forgotten_with_time(log):
    devices.take(log, [seen(user="kim"), seen(OTHER)])
    devices.describe(log, "hill", NAMES.of("hill", "d", OTHER), {"owner": "Mr Reed"})
    assert devices.forget_old(log, "hill", datetime.fromtimestamp(NOW + 1, UTC)) == 2
    assert [one.mac for one in devices.search(log, "hill", Wanted())] == [OTHER]
    devices.forget(log, "hill", NAMES.of("hill", "d", OTHER))
    assert devices.search(log, "hill", Wanted()) == []


def test_a_table_goes_out_and_comes_back(log):
    devices.take(log, [seen(name="=cmd()")])
    text = devices.write_csv(devices.search(log, "hill", Wanted()), {NAMES.of("hill", "d", MAC): "staff"})
    assert "'=cmd()" in text, "no spreadsheet runs what a device calls itself"
    read = devices.read_csv(text.replace(f"{MAC},", f"{MAC},Library 3", 1))
    assert (read.wrong, read.groups) == ((), {MAC: "staff"})
    assert devices.take_csv(log, "hill", read, NAMES) == 1
    assert devices.one(log, "hill", MAC).name == "Library 3"
    new = devices.read_csv("\ufeffMAC,Owner\r\n02-FF-EE-00-00-01,Mrs Lee\r\n")
    devices.take_csv(log, "hill", new, NAMES)
    one = devices.one(log, "hill", OTHER)
    assert (one.owner, one.first_seen, one.device) == ("Mrs Lee", 0, NAMES.of("hill", "d", OTHER))
    devices.take(log, [seen(OTHER, at=NOW + 9)])
    assert devices.one(log, "hill", OTHER).first_seen == (NOW + 9) * 1e6


def test_what_cannot_be_read_is_named(log):
    read = devices.read_csv("mac,standing,group\nxyz,,\n00:11:22:aa:bb:cc,ours,\n02:ff:ee:00:00:01,byod,year9\n\n")
    read = devices.narrowed(read, ["staff"])
    assert list(read.said) == [OTHER]
    assert [line.split(":")[0] for line in read.wrong] == ["line 2", "line 3", "there is no group 'year9'"]
    for text in ("", "name,owner\n"):
        with pytest.raises(ValueError, match="first line"):
            devices.read_csv(text)


@given(st.text(max_size=200))
def test_no_text_breaks_reading_a_table(text):
    try:
        devices.read_csv(f"mac,name\n{text}")
    except ValueError:
        return
