"""Documents: one canonical text each, and one plain line for whatever is wrong with a text."""

import json
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.proof import canonical
from policy.rules import (
    Action,
    AuthorityPolicy,
    CategoryRule,
    Dictionary,
    Group,
    ListRef,
    Network,
    SchoolPolicy,
    SiteRule,
    Timetable,
    Window,
    instant,
    read,
    read_document,
    write,
)

IDS = st.from_regex(r"[a-z0-9][a-z0-9_.:-]{0,20}", fullmatch=True)
WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
RULE_ACTIONS = st.sampled_from([Action.ALLOW, Action.WARN, Action.BLOCK])
MOMENTS = st.none() | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=1))]))
CLOCKS = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))
GROUPS = st.lists(IDS, max_size=2).map(tuple)
SITE_RULES = st.builds(
    SiteRule, IDS, st.sampled_from(["a.example", "xn--caf-dma.example", "10.0.0.1"]), RULE_ACTIONS, st.integers(0, 10**6),
    path=st.sampled_from(["", "/a", "/a/%20b"]), groups=GROUPS, person=st.none() | IDS, starts=MOMENTS, until=MOMENTS,
    during=st.none() | IDS, mandatory=st.booleans(),
)  # fmt: skip
CATEGORY_RULES = st.builds(CategoryRule, IDS, IDS, RULE_ACTIONS, st.integers(0, 10**6), groups=GROUPS, until=MOMENTS)
SCHOOLS = st.builds(
    SchoolPolicy, IDS, WORDS, WORDS, WORDS,
    groups=st.lists(st.builds(Group, IDS, WORDS, st.sampled_from(["ks1", "staff"]), st.booleans()), max_size=2).map(tuple),
    networks=st.lists(st.builds(Network, IDS, IDS, st.ip_addresses().map(lambda ip: f"{ip}/{ip.max_prefixlen}"), WORDS), max_size=2).map(tuple),
    timetables=st.lists(
        st.builds(
            Timetable, IDS, WORDS, st.lists(st.builds(Window, st.lists(st.integers(0, 6), max_size=3).map(tuple), CLOCKS, CLOCKS), max_size=2).map(tuple),
            st.lists(st.tuples(st.dates(), st.dates()), max_size=1).map(tuple),
        ), max_size=1,
    ).map(tuple),
    site_rules=st.lists(SITE_RULES, max_size=2).map(tuple),
    category_rules=st.lists(CATEGORY_RULES, max_size=2).map(tuple),
    blocked_answer=st.sampled_from(["page", "nxdomain", "null"]),
    timezone=st.sampled_from(["Europe/London", "UTC"]),
)  # fmt: skip
AUTHORITIES = st.builds(
    AuthorityPolicy,
    IDS,
    WORDS,
    WORDS,
    st.lists(SITE_RULES, max_size=2).map(tuple),
    st.lists(CATEGORY_RULES, max_size=2).map(tuple),
)


@given(SCHOOLS | AUTHORITIES)
def test_what_is_written_is_read(document):
    text = write(document)
    assert read_document(text) == document
    assert write(read_document(text)) == text


@given(
    st.builds(
        Dictionary,
        WORDS,
        WORDS,
        WORDS,
        st.lists(st.builds(ListRef, WORDS, IDS, WORDS, WORDS, st.integers()), max_size=2).map(tuple),
    )
)
def test_a_dictionary_too(dictionary):
    assert read(Dictionary, write(dictionary)) == dictionary


SCHOOL = json.loads(
    write(
        SchoolPolicy(
            "oakfield",
            "Oakfield",
            "a" * 64,
            "d" * 64,
            groups=(Group("ks2", "Years 3-6", "ks2"),),
            networks=(Network("n1", "ks2", "10.0.0.0/8"),),
            timetables=(
                Timetable("lunch", "Lunch", (Window((0,), "12:00", "13:00"),), ((date(2026, 9, 1), date(2026, 12, 18)),)),
            ),
            site_rules=(SiteRule("s1", "a.example", Action.ALLOW, 1),),
            category_rules=(CategoryRule("k1", "games", Action.BLOCK, 2),),
        )
    )
)


def changed(*path, to):
    document = json.loads(json.dumps(SCHOOL))
    inside = document
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = to
    return canonical(document)


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("surprise",), 1),
        (("two\nlines",), 1),
        (("site_rules", 0, "surprise"), 1),
        (("kind",), "county"),
        (("log",), "Oak Field"),
        (("log",), ""),
        (("log",), "a" * 65),
        (("name",), 7),
        (("blocked_answer",), "drop"),
        (("timezone",), "Mars/Phobos"),
        (("timezone",), "../../etc/passwd"),
        (("timezone",), ""),
        (("groups", 0, "phase"), "ks9"),
        (("networks", 0, "prefix"), "10.0.0.1/8"),
        (("networks", 0, "prefix"), "10.0.0.0/33"),
        (("networks", 0, "prefix"), "10.0.0.0/255.0.0.0"),
        (("networks", 0, "prefix"), "2001:DB8::/32"),
        (("networks", 0, "prefix"), ""),
        (("timetables", 0, "windows", 0, "start"), "24:00"),
        (("timetables", 0, "windows", 0, "start"), "9:00"),
        (("timetables", 0, "windows", 0, "start"), "09:60"),
        (("timetables", 0, "windows", 0, "end"), "٠٩:00"),
        (("timetables", 0, "windows", 0, "days"), [7]),
        (("timetables", 0, "windows", 0, "days"), [-1]),
        (("timetables", 0, "terms"), [["2026-09-01"]]),
        (("timetables", 0, "terms"), [["2026-09-31", "2026-12-18"]]),
        (("site_rules", 0, "host"), "A.example"),
        (("site_rules", 0, "host"), "a.example."),
        (("site_rules", 0, "host"), "a..example"),
        (("site_rules", 0, "host"), "http://a.example"),
        (("site_rules", 0, "host"), "a b"),
        (("site_rules", 0, "host"), ""),
        (("site_rules", 0, "path"), "a"),
        (("site_rules", 0, "path"), "/a/../b"),
        (("site_rules", 0, "path"), "/a?b"),
        (("site_rules", 0, "path"), "//a"),
        (("site_rules", 0, "action"), "restrict"),
        (("site_rules", 0, "action"), "permit"),
        (("site_rules", 0, "until"), "2026-12-18T15:30:00"),  # of which zone?
        (("site_rules", 0, "until"), "tomorrow"),
        (("site_rules", 0, "change"), "1"),
        (("site_rules", 0, "groups"), ["Years 3"]),
        (("category_rules", 0, "category"), "Games!"),
        (("category_rules", 0, "phases"), ["ks9"]),
    ],
)
def test_what_is_wrong_is_said_in_one_line(path, to):
    with pytest.raises(ValueError) as found:
        read_document(changed(*path, to=to))
    assert str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(SCHOOL),  # with spaces
        canonical(SCHOOL) + "\n",
        canonical({name: value for name, value in SCHOOL.items() if name != "blocked_answer"}),  # a default left out
        canonical({name: value for name, value in SCHOOL.items() if name != "name"}),
        canonical(SCHOOL).replace("Oakfield", "\\u004fakfield"),
        canonical(SCHOOL)[:-1] + ',"kind":"school"}',
        canonical(SCHOOL).replace('"school"', '"authority"'),
        "", "[]", "1", "null", "{}", '{"kind":', '{"kind":"school"}', "[" * 100_000, "\ud800", '{"kind":"school","name":"\\ud800"}',
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused(text):
    with pytest.raises(ValueError) as found:
        read_document(text)
    assert "\n" not in str(found.value)


@given(
    st.text()
    | st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ).map(json.dumps)
)
def test_strangers_text_is_refused_with_a_value_error(text):
    with pytest.raises(ValueError):
        read_document(text)


def test_an_instant_is_said_in_utc():
    assert instant(datetime(2026, 7, 1, 10, 0, 0, 999, tzinfo=timezone(timedelta(hours=1)))) == "2026-07-01T09:00:00Z"
    assert datetime.fromisoformat(instant(datetime(2026, 7, 1, tzinfo=UTC))) == datetime(2026, 7, 1, tzinfo=UTC)
