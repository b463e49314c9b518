"""Phrase sets: what is found, what is not, and the published figures."""

import csv
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from category_lists.phrases import Phrases, shipped
from category_lists.taxonomy import PHASES, load

BLIND = Path(__file__).parents[2] / "benchmarks" / "data" / "blind.csv"
OWN_KINDS = {"abuse", "bullying"}  # themes for safeguarding that are no category of sites


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rates(given):
    harm = [row for row in given if row["label"] != "benign"]
    calm = [row for row in given if row["label"] == "benign"]
    score = shipped().score
    found = [row for row in harm if score(row["text"], row["kind"]).themes]
    false = [row["text"] for row in calm if score(row["text"], row["kind"]).themes]
    return len(found) / len(harm), false


@pytest.mark.parametrize("kind", ["page", "search"])
def test_texts_and_searches_that_were_written_as_a_test_and_not_learned_from(kind):
    """docs/accuracy.md says what was found of them when they were seen for the first time."""
    recall, false = rates([row for row in rows(BLIND) if row["kind"] == kind])
    assert recall >= 0.95
    assert len(false) <= 4, false


def test_the_examples_beside_the_checkout(shared_data):
    if shared_data is None:
        return
    recall, false = rates(rows(shared_data / "examples" / "text_examples.csv"))
    assert recall >= 0.9
    assert false == []


@pytest.mark.parametrize(
    "text",
    [
        "Scunthorpe", "Essex", "Sussex", "Middlesex", "Penistone", "Cockermouth", "cockpit", "cocktail", "peacock",
        "breast cancer", "chicken breast", "Gunnersbury Park", "assassin", "analysis", "Dick Turpin", "Moby Dick",
        "sextant", "sextet", "Essex sussex wessex", "therapist", "grape", "scrape", "document", "circumstance",
        "arsenal", "shitake", "Uranus", "great tits", "blue tit", "matsushita", "spice rack", "weed killer",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["page", "search"])
def test_words_within_words_are_no_harm(text, kind):
    assert shipped().score(text, kind).themes == {}
    assert shipped().score(text, kind).action == "allow"


@pytest.mark.parametrize(
    ("text", "theme"),
    [
        ("sut i ladd fy hun", "self_harm_eating_disorders"),
        ("jak zrobić bombę", "weapons_explosives"),
        ("jak zrobic bombe", "weapons_explosives"),
        ("خودکشی کیسے کریں", "self_harm_eating_disorders"),
        ("khudkushi kaise karein", "self_harm_eating_disorders"),
        ("كيف انتحر", "self_harm_eating_disorders"),
        ("أفلام إباحية", "pornography"),
        ("cum să mă omor", "self_harm_eating_disorders"),
        ("купити наркотики", "drugs_substance"),
        ("como fazer uma bomba", "weapons_explosives"),
        ("comment se suicider", "self_harm_eating_disorders"),
        ("nackte frauen", "pornography"),
        ("comprar drogas", "drugs_substance"),
        ("n1gg3r", "hate_discrimination"),
        ("s u i c i d e", "self_harm_eating_disorders"),
        ("🍆💦 nudes", "pornography"),
    ],
)
def test_other_languages_and_spellings(text, theme):
    assert theme in shipped().score(text, "search").themes


@pytest.mark.parametrize(
    ("text", "theme"),
    [
        ("how 2 unalive urself", "self_harm_eating_disorders"),
        ("commit suside", "self_harm_eating_disorders"),
        ("wish i was never born", "self_harm_eating_disorders"),
        ("slef harm", "self_harm_eating_disorders"),
        ("a man online wants me to send pics", "abuse"),
        ("my stepdad comes into my room", "abuse"),
        ("scared to go to school because of bullies", "bullying"),
        ("i wanna stab someone at school", "weapons_explosives"),
        ("how to chef someone", "violence_gore"),
        ("where to buy a zombie knife no id", "weapons_explosives"),
        ("how to get to syria to fight", "extremism_terrorism"),
        ("tarrant livestream", "extremism_terrorism"),
        ("muslims should be banned", "hate_discrimination"),
        ("how to take pics up skirts", "vawg_misogyny"),
        ("need a plug snapchat", "drugs_substance"),
        ("🍁 plug london", "drugs_substance"),
        ("lost mary no id", "alcohol_tobacco_vaping"),
        ("unblokced games", "proxy_vpn"),
        ("how to stop teachers seeing my screen", "proxy_vpn"),
        ("get into someones snapchat secretly", "hacking"),
        ("sparx answer bot", "academic_cheating"),
        ("gamble robux under 18", "gambling"),
        ("jak się zabić bez bólu", "self_harm_eating_disorders"),
        ("як зробити бомбу вдома", "weapons_explosives"),
        ("mon père me frappe", "abuse"),
        ("mujhe zinda nahi rehna", "self_harm_eating_disorders"),
        ("prynu canabis", "drugs_substance"),
    ],
)
def test_a_wish_or_a_way_is_found_however_it_is_put(text, theme):
    assert theme in shipped().score(text, "search").themes


@pytest.mark.parametrize(
    "text",
    [
        "why did the nazis hate the jews", "romeo and juliet suicide essay", "shoot hoops at home", "drug awareness homework",
        "history of the holocaust", "wire strippers", "lost mary celeste", "great replacement bus service", "horse grooming kit",
        "how to run away from a bear", "suicide runs pe", "how to unblock a sink", "nude nail varnish", "dado joint depth",
        "reset my password", "cum a murit eminescu", "sex bomb tom jones", "blue whale facts", "inferior vena cava",
        "bike pedal", "how do balloons float", "best way to take notes", "space invaders", "john proctor hanging",
    ],
)  # fmt: skip
def test_what_lessons_and_idioms_share_with_harm_is_no_harm(text):
    assert shipped().score(text, "search").themes == {}


def test_patterns_stand_for_each_of_their_phrases_and_rows_for_their_order():
    many = "|".join(f"word{n}" for n in range(100))
    made = Phrases({"a.yaml": f"theme: t\nlanguage: en\nhard: (buy|get) (|a) gun\nsearch:\n  hard: ({many}) (|big) then"})
    assert made.score("buy gun").themes == made.score("get a gun").themes == {"t": 100}
    assert made.score("word7 big then", "search").themes == made.score("word99 then", "search").themes == {"t": 100}
    assert made.score("then word7", "search").themes == {}
    assert made.score("word7 and a good deal later on then", "search").themes == {}
    assert made.score("word7 then").themes == {}


def test_what_somebody_says_counts_in_searches_and_short_texts_only():
    made = Phrases({"a.yaml": "theme: t\nlanguage: en\nbrief:\n  hard: i give up"})
    assert made.score("i give up", "search").themes == made.score("I give up.").themes == {"t": 100}
    assert not made.score("I give up. " + "The river runs past the town. " * 80).hits


def test_help_and_lessons_lower_but_methods_stay():
    score = shipped().score
    essay = "Discuss how Shakespeare presents suicide in Romeo and Juliet. Essay, GCSE English literature."
    methods = "How to hang yourself: the quickest way to die, step by step. Ring Samaritans if you need help."
    assert score(essay).themes == {}
    assert "self_harm_eating_disorders" in score(methods).themes


def test_the_younger_the_reader_the_less_it_takes():
    scores = [len(shipped().score("casino and roulette", "page", phase=phase).themes) for phase in ("ks1", "ks4", "staff")]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1
    assert all(shipped().score("free porn", "page", phase=phase).themes for phase in PHASES)


def test_a_long_text_needs_more_than_a_short_one():
    short = "free porn tonight"
    assert shipped().score(short).themes
    assert not shipped().score(short + " the river runs past the old town" * 3000).themes


def test_themes_are_categories_and_every_language_has_a_core():
    phrases = shipped()
    assert set(phrases.themes) - OWN_KINDS <= set(load().categories)
    assert phrases.languages == ("ar", "cy", "de", "en", "es", "fr", "pl", "pt", "ro", "uk", "ur")
    assert len(phrases.digest) == 64


@pytest.mark.parametrize(
    "files",
    [
        {"a.yaml": "theme: x"},
        {"a.yaml": "theme: x\nlanguage: en\nsurprise: y"},
        {"a.yaml": "theme: x\nlanguage: en\ntogether: [{hard: ['<none>', a]}]"},
        {"a.yaml": "theme: x\nlanguage: en\ntogether: [{loud: [a, b]}]"},
        {"a.yaml": "- 1"},
        {"a.yaml": "{"},
        {"words.yaml": "en: [a]"},
        {"a.yaml": "theme: x\nlanguage: en\nhard: ((a|b) c)"},
        {"a.yaml": "theme: x\nlanguage: en\nhard: " + "(a|b|c|d)" * 6},
    ],
)
def test_a_file_that_is_half_understood_is_refused(files):
    with pytest.raises(ValueError):
        Phrases(files)


def test_rules_need_their_words_near_each_other_and_a_harmless_phrase_hides():
    made = Phrases(
        {"a.yaml": "theme: t\nlanguage: en\ntogether: [{hard: ['buy, get', 'bomb']}]\nnever: bath bomb\nsoft: gun"}
    )
    assert made.score("where to buy a bomb").themes == {"t": 100}
    assert made.score("buy a bath bomb").themes == {}
    assert made.score("buy " + "apples and pears " * 10 + "bomb").themes == {}
    assert made.score("bomb").themes == {}


@settings(max_examples=60)
@given(st.text(max_size=400), st.sampled_from(["page", "search"]))
def test_no_text_upsets_it(text, kind):
    score = shipped().score(text, kind)
    assert score.total >= 0
    assert (score.action == "block") == bool(score.themes)


def test_a_long_page_is_read_quickly():
    page = ("The committee met in the town hall and agreed to build a new library, see the minutes for details. " * 1100)[
        :100_000
    ]
    shipped().score(page)
    best = 1.0
    for _ in range(5):
        start = time.process_time()
        shipped().score(page)
        best = min(best, time.process_time() - start)
    assert best < 0.05  # ten times the target, so that a busy machine does not fail it; benchmarks/accuracy.py measures


def test_fewer_words_are_enough_for_what_is_likely_anyway():
    made = Phrases({"a.yaml": "theme: t\nlanguage: en\nstrong: alpha\nsoft: beta, gamma"})
    assert [made.score("alpha", likely=likely).themes for likely in ((), ("other",), ("t",))] == [{}, {}, {"t": 50}]
    assert made.score("beta and gamma", likely=("t",)).themes == {}
