"""Events into captures, captures into grades: rules, patterns over time, ages, lessons, the watcher's place."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from change_control.people_wishes import ALERT_THEMES
from monitoring import captures, store
from monitoring.confiding import confided
from monitoring.lines import microseconds
from monitoring.log import Log
from monitoring.rules import THEMES, Finding, Judge, Past, Seen, route
from monitoring.tables import captures as rows
from monitoring.watch import Watcher
from policy.event import Event
from policy.rules import AlertRule, Group, SchoolPolicy

MONDAY = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
T = MONDAY.timestamp()
JUDGE = Judge()
GROUPS = (Group("ks1", "Y1", "ks1"), Group("ks4", "Y10", "ks4"), Group("staff", "Staff", "staff"))


def school(*rules: AlertRule) -> SchoolPolicy:
    return SchoolPolicy("hillview", "Hillview", "a", "d", groups=GROUPS, alert_rules=rules)


def search(term: str, at: float = 0, **said) -> Event:
    usual = {
        "school": "hillview",
        "group": "ks4",
        "person": "p1",
        "host": "www.google.com",
        "action": "restrict",
        "term": term,
    }
    return Event(T + at, "search", **{**usual, **said})


def page(category: str, at: float = 0, **said) -> Event:
    usual = {
        "school": "hillview",
        "group": "ks4",
        "person": "p1",
        "host": f"{category}.example",
        "action": "block",
        "path": "/",
    }
    return Event(T + at, "page", **{**usual, "category": category, **said})


@pytest.fixture
def watch(log: Log):
    """Store events and look through them; returns captures as they stand, faint ones too."""
    state = SimpleNamespace(school=school(), position=0, urgent=[])
    watcher = Watcher(log, lambda name: state.school if name == "hillview" else None, JUDGE)

    def step(*events: Event):
        state.position += 1
        log.append(events, {"dns-0": (1, state.position)})
        while True:
            count, urgent = watcher.step()
            state.urgent += urgent
            if not count:
                break
        with store.reading(log) as connection:
            return [
                SimpleNamespace(**row, told=json.loads(row["context"]))
                for row in store.rows(connection, rows.select().order_by(rows.c.id))
            ]

    step.state = state
    step.watcher = watcher
    return step


def test_themes_have_one_name_on_both_sides():
    assert {name: theme.name for name, theme in THEMES.items()} == dict(ALERT_THEMES)
    assert {theme.area for theme in THEMES.values()} == {"content", "contact", "conduct", "commerce"}


@pytest.mark.parametrize(
    ("term", "theme", "at"),
    [
        ("how to kill myself", "self-harm", "urgent"),
        ("how to skip meals without anyone noticing", "self-harm", "urgent"),
        ("jak się zabić", "self-harm", "urgent"),
        ("comment me suicider", "self-harm", "urgent"),
        ("k1ll mys3lf", "self-harm", "urgent"),
        ("my dad hits me", "family", "urgent"),
        ("je veux fuguer de chez moi", "family", "urgent"),
        ("how to make a pipe bomb", "violence", "urgent"),
        ("vpn unblock school", "bypass", "weekly"),
        ("buy weed near me", "drugs", "review"),
        ("pornhub", "pornography", "weekly"),
        ("a man online wants to meet me", "exploitation", "urgent"),
        ("how to get to syria to fight", "prevent", "urgent"),
        ("kill all muslims", "hate", "review"),
        ("they beat me up after school", "bullying", "review"),
        ("gamble robux", "gambling", "weekly"),
        ("flat earth proof", "misinformation", "weekly"),
        ("you have won an iphone click here to claim", "scams", "weekly"),
        ("volcano facts for homework", None, None),
        ("drug awareness homework", None, None),
        ("shoot hoops", None, None),
        ("horse grooming kit", None, None),
        ("knife crime statistics", None, None),
        ("flat earth debunked", None, None),
        ("my mum beat me at chess", "family", "faint"),
        ("suicide prevention essay", None, None),
    ],
)
def test_what_searches_are_about(term, theme, at):
    found = JUDGE.find(Seen("search", "ks4", "ks4", term, "www.google.com", "search", "restrict"))
    assert (found.route if found else None) == at
    if theme:
        assert found.theme.id == theme


def test_the_same_search_of_a_six_year_old_is_seen_sooner():
    def at(phase):
        return JUDGE.find(Seen("search", "g", phase, "pornhub", "www.google.com", "", "restrict")).route

    assert (at("ks4"), at("sixth-form"), at("ks1")) == ("weekly", "weekly", "review")


@pytest.mark.parametrize(
    ("rules", "term", "found"),
    [
        ((AlertRule("a1", 1, "watch", "bullying", "dave the dog", "review"),), "haha Dave the DOG again", ("bullying", "review")),
        ((AlertRule("a1", 1, "watch", "bullying", "dave", "review", ("staff",)),), "dave", None),
        ((AlertRule("a1", 1, "ignore", "pornography", "pornhub"),), "pornhub", None),
        ((AlertRule("a1", 1, "ignore", "gambling", "pornhub"),), "pornhub", ("pornography", "weekly")),
        ((AlertRule("a1", 1, "route", "pornography", route="urgent"),), "pornhub", ("pornography", "urgent")),
        ((AlertRule("a1", 1, "route", "pornography", route="off"),), "pornhub", None),
        ((AlertRule("a1", 1, "route", "pornography", route="off"), AlertRule("a2", 2, "route", "pornography", route="review")), "pornhub", ("pornography", "review")),
    ],
)  # fmt: skip
def test_the_schools_own_rules(rules, term, found):
    said = JUDGE.find(Seen("search", "ks4", "ks4", term, "www.google.com", "", "restrict"), rules)
    assert ((said.theme.id, said.route) if said else None) == found


GUESSED = "see where my ex is without her knowing"  # of which no phrase says anything
PAST_WORDS = "my auntie says i have to be cut in the holidays"


@pytest.mark.parametrize(
    ("term", "phase", "rules", "found"),
    [
        (GUESSED, "ks4", (), ("hate", "review")),
        (PAST_WORDS, "ks4", (), ("family", "review")),
        (PAST_WORDS, "ks1", (), ("family", "review")),  # a phrase would have somebody called
        (PAST_WORDS, "ks1", (AlertRule("a1", 1, "route", "family", route="urgent"),), ("family", "urgent")),
        ("my coach makes me keep a secret about what he does", "ks1", (), ("exploitation", "urgent")),  # surer than sure
        (GUESSED, "ks4", (AlertRule("a1", 1, "ignore", "", "without her"),), None),
        (GUESSED, "ks4", (AlertRule("a1", 1, "ignore", "hate", "without her"),), None),
        (GUESSED, "ks4", (AlertRule("a1", 1, "ignore", "hate", "without her", groups=("staff",)),), ("hate", "review")),
        (GUESSED, "ks4", (AlertRule("a1", 1, "ignore", "gambling", "without her"),), ("hate", "review")),
        (GUESSED, "ks4", (AlertRule("a1", 1, "route", "hate", route="off"),), None),
        (
            "flat earth proof how to go 3 days without eating and not faint",  # the first half is off here, and no more of it
            "ks4",
            (AlertRule("a1", 1, "route", "misinformation", route="off"),),
            ("self-harm", "review"),
        ),
        ("discord", "ks4", (), None),
    ],
)
def test_what_no_phrase_says_is_guessed_with_care_and_by_the_schools_rules(term, phase, rules, found):
    said = JUDGE.find(Seen("search", "g", phase, term, "www.google.com", "", "restrict"), rules)
    assert ((said.theme.id, said.route) if said else None) == found
    assert not said or said.why.startswith("what it reads like")


@pytest.mark.parametrize(
    ("at", "past", "hour", "goes"),
    [
        ("weekly", Past(), 12, "weekly"),
        ("weekly", Past(1, 3, 3), 12, "review"),  # on the fourth day
        ("weekly", Past(5), 12, "review"),  # five in a row
        ("weekly", Past(1, 1, 1), 23, "review"),  # again, at night
        ("weekly", Past(1, 0, 0), 23, "weekly"),
        ("faint", Past(), 12, "faint"),
        ("faint", Past(4, weight=40), 12, "review"),
        ("faint", Past(4, weight=14), 12, "faint"),  # the same search four times
        ("faint", Past(1, 1, 1, 40), 12, "review"),  # another sign on another day
        ("faint", Past(1, 2, 2, 39), 12, "faint"),
        ("faint", Past(1, 0, 0, 40), 12, "faint"),  # all of one moment
        ("urgent", Past(), 12, "urgent"),
    ],
)
def test_time_adds_to_what_was_found(at, past, hour, goes):
    assert route(Finding(THEMES["gambling"], at, 50, ""), past, hour) == goes


def test_a_run_of_blocked_pages_is_a_capture_and_one_is_faint(watch):
    (one,) = watch(page("gambling"))
    assert (one.route, one.count) == ("faint", 1)
    (one,) = watch(page("gambling", 60), page("gambling", 120))
    assert (one.route, one.count) == ("weekly", 3)
    (one,) = watch(*(page("gambling", 130 + n) for n in range(12)))
    assert one.route == "review"


def test_what_follows_soon_belongs_to_the_same_capture_and_later_does_not(watch):
    (one,) = watch(search("pornhub"), search("free porn", 600))
    assert (one.count, one.told["terms"]) == (2, ["pornhub", "free porn"])
    found = watch(search("pornhub", 7200))
    assert [each.count for each in found] == [2, 1]
    assert len(watch(search("pornhub", 7300, person="p2"))) == 3


def test_the_context_is_kept_before_and_after_and_no_more(watch):
    watch(*(search(f"homework {n}", n) for n in range(8)))
    watch(search("how to kill myself", 20))
    (one,) = watch(search("what is for lunch", 60), search("much later", 3600), search("somebody else", 70, person="p2"))
    assert one.told["before"] == [f"homework {n}" for n in range(2, 8)]
    assert one.told["after"] == ["what is for lunch"]
    assert set(one.told) == {"before", "after", "terms", "titles"}


def test_what_is_urgent_is_told_once(watch):
    watch(search("how to kill myself"), search("i want to die", 60))
    watch(search("how to kill myself", 120))
    assert [(one.theme, one.subject) for one in watch.state.urgent] == [("self-harm", "pupil")]
    watch(search("i want to die", 130, person="p9", group="staff"))
    assert watch.state.urgent[-1].subject == "staff"


def test_a_watcher_that_starts_anew_goes_on_where_the_last_one_was(watch, log):
    watch(search("pornhub"))
    log.append([search("how to kill myself", 60)], {"dns-0": (1, 99)})
    assert Watcher(log, lambda _: school(), JUDGE).step()[0] == 1
    assert watch.watcher.behind() == 0
    assert len(captures.waiting(log, "hillview", ("pupil",), routes=("urgent", "weekly"))) == 2


def test_events_of_no_school_or_nobody_are_passed_over(watch):
    assert (
        watch(search("how to kill myself", school="elsewhere"), search("i want to die", person="", device="", address=""))
        == []
    )


def test_a_lesson_annotates(watch, log):
    captures.declare(
        log,
        "hillview",
        "adam",
        topic="Hamlet",
        group="ks4",
        theme="self-harm",
        begins=MONDAY,
        ends=MONDAY + timedelta(hours=1),
    )
    (one,) = watch(search("how to kill myself", 60))
    assert (one.lesson, one.route) == ("Hamlet", "urgent")
    with pytest.raises(ValueError):
        captures.declare(log, "hillview", "adam", topic="x" * 5, group="", theme="", begins=MONDAY, ends=MONDAY)


def test_grades_are_added_taken_back_and_compared(watch, log):
    watch(*(search("pornhub", 4000 * n, person=f"p{n}") for n in range(6)))
    found = captures.waiting(log, "hillview", ("pupil",), routes=("weekly",))
    numbers = [one.id for one in found]
    now = MONDAY + timedelta(hours=9)
    first = captures.grade(log, "hillview", numbers[:4], "off-task", person="sara", subjects=("pupil",), now=now)
    captures.grade(log, "hillview", numbers[3:4], "serious", person="olive", subjects=("pupil",), now=now)
    assert captures.undo(log, "hillview", first, person="olive", now=now) == 0
    assert captures.undo(log, "hillview", first, person="sara", now=now) == 4
    assert captures.one(log, "hillview", numbers[3], ("pupil",)).grade == "serious"  # a later grade stays
    assert captures.one(log, "hillview", numbers[0], ("pupil",)).grade == ""
    captures.grade(log, "hillview", numbers[:3], "behaviour", person="sara", subjects=("pupil",), now=now)
    sample = captures.sample(log, "hillview", "olive", ("pupil",), now)
    assert {one.id for one in sample} == set(numbers[:3])
    for number, second in zip(numbers[:3], ("behaviour", "behaviour", "serious"), strict=True):
        captures.grade(log, "hillview", [number], second, person="olive", subjects=("pupil",), now=now, purpose="blind")
    assert captures.one(log, "hillview", numbers[2], ("pupil",)).grade == "behaviour"
    agreed = captures.agreement(log, "hillview", MONDAY)
    assert (agreed.both, agreed.same) == (3, 2)
    with pytest.raises(captures.NotYours):
        captures.grade(log, "oakfield", numbers[:1], "false", person="x", subjects=("pupil",), now=now)
    assert captures.looks_of(log, "hillview", MONDAY) == {microseconds(MONDAY) // 86_400_000_000: (2, 11)}


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=120), st.sampled_from(["ks1", "ks4", "staff"]))
def test_any_words_are_judged(term, phase):
    JUDGE.find(Seen("search", "g", phase, term, "www.google.com", "", "restrict"))


def test_faint_signs_of_one_story_add_up_over_days_and_are_shown_with_all_of_it(watch):
    """None is anything alone; three of one pupil within a fortnight are, and a lesson's or a colleague's are not."""
    told = ("everyone leaves me in the end", "nobody to talk to at home", "mum is so angry with me")
    for day, term in enumerate(told):
        watch(
            search("volcano facts", day * 86_400 * 2 - 60), search(term, day * 86_400 * 2), search(told[0], day, person="p2")
        )
    (one,) = [each for each in watch() if each.route != "faint"]
    assert (one.who, one.route, one.term) == ("p1", "review", told[-1])
    assert [each.split(": ", 1)[1] for each in one.told["earlier"]] == list(told[:-1])


def test_what_is_searched_for_at_night_weighs_more_and_what_is_weeks_apart_is_not_added(watch):
    sign, other = "everyone leaves me in the end", "nobody to talk to at school"
    night = 13 * 3600
    watch(search(sign, night), search(other, night + 86_400))
    watch(search(sign, person="p2"), search(other, 86_400, person="p2"))
    watch(search(sign, night, person="p3"), search(other, night + 20 * 86_400, person="p3"))
    assert [(each.who, each.term) for each in watch() if each.route == "review"] == [("p1", other)]


def test_what_somebody_does_about_trouble_adds_up_over_weeks_and_a_lesson_about_it_does_not(watch):
    moves = (
        "can teachers keep a secret",
        "how to lock your bedroom door without a lock",
        "how to stay late at school every day",
    )
    for week, term in enumerate(moves):
        watch(search(term, week * 6 * 86_400), search(f"{term} lyrics", week * 6 * 86_400, person="p2"))
    watch(*(search(term, 7 * 86_400 * 3 * n, person="p3") for n, term in enumerate(moves)))  # too slowly for anybody
    assert [(each.who, each.theme) for each in watch() if each.route != "faint"] == [("p1", "family")]


def test_what_is_older_than_a_fortnight_weighs_half(watch):
    strong = (
        "everyone leaves me in the end",
        "nobody to talk to at home",
        "mum is so angry with me",
        "why cant i cry at home",
    )
    watch(*(search(term, 9 * 86_400 * n) for n, term in enumerate(strong)))
    assert [each.term for each in watch() if each.route != "faint"] == [strong[3]]


def test_sites_that_were_refused_count_a_little_beside_words(watch):
    for person, refused in (("p1", True), ("p2", False)):
        watch(search("everyone leaves me in the end", person=person))
        if refused:
            watch(page("dating", 3_600, person=person), page("dating", 7_200, person=person))
        watch(search("nobody to talk to at school", 86_400, person=person))
    assert {each.who for each in watch() if each.route == "review"} == {"p1"}


@pytest.mark.parametrize(
    ("term", "about"),
    [
        ("why does everyone leave me", "self-harm"),
        ("mum is so angry with me", "family"),
        ("they cut me off because i dont drink", "bullying"),
        ("is it weird that an older guy wants to meet me", "exploitation"),
        ("crying in bed lyrics", None),
        ("how to hide scratches on my arm", "self-harm"),
        ("can teachers keep a secret", "family"),
        ("how to delete messages without parents knowing", "exploitation"),
        ("ways to get sent home from school", "bullying"),
        ("how to look after a dog", None),
        ("sad macbeth quotes essay", None),
        ("how to revise for maths", None),
        ("sad", None),
        ("\ud800\0 " + "x " * 100_000, None),
    ],
)
def test_what_is_confided(term, about):
    found = confided(term)
    assert (found.theme if found else None) == about
