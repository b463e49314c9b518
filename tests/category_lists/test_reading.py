"""What texts read like: what it makes of texts that it has not learned, alone and together with a name."""

import json
from array import array
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from category_lists.classifier import shipped as names
from category_lists.linear import HARMLESS
from category_lists.phrases import LEARNED, Phrases, by_hand, learned, shipped
from category_lists.reading import NO_CATEGORIES, Reader, _of_usual, key, pieces
from category_lists.taxonomy import load
from category_lists.train_texts import Line, corpus, learn

# Written for this test; none of them stands in model/written.
TEXTS = {
    "gambling": "Spin the reels tonight: roulette tables, blackjack and a hundred free spins for every new player who deposits.",
    "proxy_vpn": "Surf anonymously past the block at your school, our servers hide your address and encrypt the traffic.",
    "dating": "Thousands of lonely singles near you want to flirt. Upload a photo, like their profiles and arrange a first date.",
    "piracy": "Stream the newest films without paying, all episodes with subtitles, torrents and magnet downloads.",
    HARMLESS: "The Tudors ruled England for 118 years. Compare how Henry and Elizabeth dealt with the church, with sources.",
}


@pytest.mark.parametrize(("kind", "text"), TEXTS.items())
def test_texts_that_it_has_not_learned(kind, text):
    found = learned().read(by_hand().spoken(text))
    if kind == HARMLESS:
        assert found.odds < -2
    else:
        assert (found.theme, found.odds > learned().lines["page"]) == (kind, True)
        assert learned().why(by_hand().spoken(text), kind)


@pytest.mark.parametrize(
    "text",
    ["", "xqzt wvvk", "0 0 0", "ქართული ენა", "12 x 14", "hello", "yes", "youtube", "bbc bitesize", "weather tomorrow"],
)
def test_what_says_nothing_reads_like_nothing(text):
    assert learned().read(by_hand().spoken(text)).odds < learned().lines["search"]
    assert shipped().score(text, "search").themes == {}


def test_what_phrases_found_is_taken_back_where_the_whole_reads_like_nothing_bad():
    about = "does our filter block pornography and self-harm"
    assert by_hand().score(about, "search").themes
    assert shipped().score(about, "search").themes == {}
    long = " ".join(["hardcore porn videos, free porn, xxx porn movies, porn tube"] * 40)
    assert (
        "pornography" in shipped().score(f"Welcome to our school garden. {long}").themes
    )  # no page is excused by its beginning


NEWS = (
    "Welcome to our newsletter. Year 4 visited the museum and enjoyed learning about the Romans. The choir sang at the church, "
    "and the netball team won three matches. Please remember a coat and a water bottle. Tea and cakes will be sold on Thursday. "
)


@pytest.mark.parametrize("text", ["free porn videos, naked teens, blowjob and cumshot clips", "painless suicide methods"])
@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 1), (3, 0), (2, 2)])
def test_harm_is_not_excused_by_the_news_of_a_school_around_it(text, before, after):
    about = f"{NEWS * before}{text}. {NEWS * after}"
    assert by_hand().score(about).themes
    assert list(shipped().score(about).themes) == list(by_hand().score(about).themes)


@pytest.mark.parametrize("lesson", ["gcse maths revision bbc bitesize", "school science project homework help"])
@pytest.mark.parametrize(
    "search", ["free porn videos", "how to kill myself", "how to make a pipe bomb", "buy weed online near me"]
)
def test_a_word_of_homework_excuses_no_search(search, lesson):
    for asked in (f"{search} {lesson}", f"{lesson} {search}"):
        assert shipped().score(asked, "search").themes


def test_what_no_phrase_says_is_found_and_says_why():
    said = "see where my ex is without her knowing"
    assert not by_hand().score(said, "search").themes
    found = shipped().score(said, "search")
    assert (list(found.themes), found.action) == (["vawg_misogyny"], "block")
    assert found.hits[0].phrase.startswith("reads like it: ")


def test_a_name_may_tip_the_balance_and_public_names_are_left_alone():
    vague = shipped().reading("Come and play at our tables tonight, new players get more for what they pay in.")
    clear = shipped().reading(TEXTS["gambling"])
    read = names().read
    assert read("", *vague).proposals == ()
    assert [one.category for one in read("royalcasinoslots.com", *vague).proposals] == ["gambling"]
    assert read("ashfordprimaryschool.co.uk", *vague).proposals == ()
    assert read("casino.sch.uk", *clear).proposals == ()
    assert read("royalcasinoslots.com", None, clear[1]).proposals == ()  # phrase sets of before
    told = {one.category for one in read("some.example", *shipped().reading("i am scared of my uncle")).proposals}
    assert not told & NO_CATEGORIES


def test_the_corpus_is_ours_to_read():
    lines = corpus()
    assert {line.category for line in lines} - {HARMLESS} - NO_CATEGORIES <= set(load().categories)
    assert {line.kind for line in lines} == {"search", "page"}
    assert len({line.hand for line in lines}) >= 16
    told = {}
    for line in lines:
        told.setdefault((line.kind, " ".join(line.text.lower().split())), set()).add(line.category == HARMLESS)
    assert [text for text, harmless in told.items() if len(harmless) > 1] == []  # nobody says that it is both
    assert all(len(word) <= 60 for line in lines for word in line.text.split())


def test_what_ships_learned_from_all_of_them():
    reader = learned()
    assert reader.about["lines"] == len(corpus())
    assert reader.themes >= set(by_hand().themes) - {"cryptocurrency"}
    assert reader.kinds[0] == HARMLESS


SOME = [
    Line(hand, "search", category, f"{verb} {what} {number}")
    for hand in ("a", "b")
    for number in range(15)
    for category, verb, what in ((HARMLESS, "paint", "a garden"), ("gambling", "spin", "the casino wheel"))
]


def test_training_is_repeatable():
    sets = Phrases({"t.yaml": "theme: gambling\nlanguage: en\nstrong: roulette\n"})
    first, second = learn(SOME, sets, {"gambling": ["roulette"]}), learn(SOME, sets, {"gambling": ["roulette"]})
    assert first.to_text() == second.to_text()
    assert (first.kinds, first.themes) == ((HARMLESS, "gambling"), {"gambling"})
    assert first.read(" spin the casino wheel ").odds > 1 > -1 > first.read(" paint a garden ").odds
    assert first.why(" spin the casino wheel ", "gambling")
    assert key("roulette") not in first.keys  # one line alone had it


def small():
    keys = array("I", sorted(map(key, ("spin", "garden"))))
    weights = array("b", [v for one in keys for v in ((-90, 90) if one == key("spin") else (90, -90))])
    return Reader(
        (HARMLESS, "gambling"), frozenset({"gambling"}), (1.0, -1.0), (0.1, 0.1), {"search": 1.0, "page": 0.5}, 1.0, 2.0, 0.5,
        keys, weights, {"lines": 2},
    )  # fmt: skip


def test_one_word_that_it_knows_says_little_by_itself():
    sets = Phrases({"t.yaml": "theme: gambling\nlanguage: en\nstrong: roulette\n", LEARNED: small().to_text()})
    said = small().read(sets.spoken("spin"))
    assert (said.words, said.odds > small().lines["search"] > small().lines["page"]) == (1, True)
    assert sets.score("spin", "search").themes == sets.score("spin").themes == {}
    two = replace(small(), keys=array("I", sorted(map(key, ("spin", "wheel")))), weights=array("b", [-40, 40] * 2))
    sets = Phrases({"t.yaml": "theme: gambling\nlanguage: en\nstrong: roulette\n", LEARNED: two.to_text()})
    assert two.read(" spin wheel ").odds < small().read(" spin ").odds + 0.3
    assert list(sets.score("spin wheel", "search").themes) == ["gambling"]


@pytest.mark.parametrize("word", ["facebook", "jayden nguyen", "discord", "vodka", "cheap"])
def test_names_and_single_words_are_no_harm(word):
    for phase in ("ks2", "ks4"):
        assert shipped().score(word, "search", phase=phase).themes == shipped().score(word, phase=phase).themes == {}


def test_weights_survive_their_text():
    again = Reader.from_text(small().to_text())
    assert again == small()
    assert again.read(" spin ").odds > 0 > again.read(" garden ").odds


@pytest.mark.parametrize(
    "changed",
    [
        {"kinds": ["gambling", HARMLESS]}, {"kinds": [HARMLESS]}, {"themes": []}, {"themes": ["games"]}, {"themes": [HARMLESS]},
        {"pieces": 1}, {"pieces": -1}, {"pieces": 10**9}, {"weights": ""}, {"weights": "~~~"}, {"weights": 5}, {"biases": [1.0]},
        {"scales": [float("inf"), 1.0]}, {"biases": [1e300, 0.0]}, {"lines": {"search": 1.0}}, {"against": 2}, {"about": 7}, {"line": None},
    ],
)  # fmt: skip
def test_damaged_weights_are_refused_in_one_sentence(changed):
    table = json.loads(small().to_text()) | changed
    with pytest.raises(ValueError, match=r"^The learned weights are damaged; write them again\.$"):
        Reader.from_text(json.dumps(table))
    for text in ("", "[]", "{}", "null", "[" * 100_000):
        with pytest.raises(ValueError, match="damaged"):
            Reader.from_text(text)


@given(st.text(max_size=400))
@settings(max_examples=50, deadline=None)
def test_any_text_can_be_read(text):
    found = learned().read(shipped().spoken(text))
    assert 0 <= found.share <= 1
    assert found.theme in learned().themes
    assert len(names().read("some.example", *shipped().reading(text)).proposals) <= 3


def test_a_long_page_costs_no_more_than_its_beginning():
    words = " ".join(f"word{number}" for number in range(20_000))
    assert pieces(words) == pieces(words[:4000])
    assert pieces("b" * 60 + "c" * 3000) == pieces("b" * 60)


def test_rows_of_letters_do_not_fill_what_is_remembered():
    _of_usual.cache_clear()
    assert len(pieces(" ".join("b" * 21 + f"{number}" for number in range(100)))) > 100
    assert _of_usual.cache_info().currsize == 0
    assert "#^bbb" in pieces("b" * 20)
    assert _of_usual.cache_info().currsize == 1
