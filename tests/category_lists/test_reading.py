"""The model of page texts: what it makes of texts that it has not learned, alone and together with a name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from category_lists.classifier import HARMLESS, ROWS, shipped
from category_lists.reading import rows_of_text
from category_lists.taxonomy import load
from category_lists.train_texts import corpus, learn

# Written for this test; none of them stands in model/texts.txt.
TEXTS = {
    "gambling": "Spin the reels tonight: roulette tables, blackjack and a hundred free spins for every new player who deposits.",
    "proxy_vpn": "Surf anonymously past the block at your school, our servers hide your address and encrypt the traffic.",
    "dating": "Thousands of lonely singles near you want to flirt. Upload a photo, like their profiles and arrange a first date.",
    "piracy": "Stream the newest films without paying, all episodes with subtitles, torrents and magnet downloads.",
    HARMLESS: "The Tudors ruled England for 118 years. Compare how Henry and Elizabeth dealt with the church, with sources.",
}


@pytest.mark.parametrize(("kind", "text"), TEXTS.items())
def test_texts_that_it_has_not_learned(kind, text):
    found = [one.category for one in shipped().read("", text).proposals]
    assert found[:1] == ([] if kind == HARMLESS else [kind])


def test_a_name_may_tip_the_balance_and_public_names_are_left_alone():
    vague = "Come and play at our tables tonight, new players get more for what they pay in."
    read = shipped().read
    assert read("", vague).proposals == ()
    assert [one.category for one in read("royalcasinoslots.com", vague).proposals] == ["gambling"]
    assert read("ashfordprimaryschool.co.uk", vague).proposals == ()
    assert read("casino.sch.uk", TEXTS["gambling"]).proposals == ()
    assert [one.category for one in read("192.0.2.7", TEXTS["gambling"]).proposals] == ["gambling"]


def test_the_corpus_is_ours_to_read():
    texts = corpus()
    assert set(texts) - {HARMLESS} <= set(load().categories)
    assert sum(map(len, texts.values())) >= 600
    assert len({text for some in texts.values() for text in some}) == sum(map(len, texts.values()))
    assert next(iter(texts)) == HARMLESS


def test_training_is_repeatable():
    texts = {kind: corpus()[kind][:12] for kind in (HARMLESS, "gambling")}
    words = {"gambling": ["casino", "roulette wheel"]}
    first, second = learn(texts, {}, words), learn(texts, {}, words)
    assert first.to_bytes() == second.to_bytes()
    scores = first.scores_of("a casino with a roulette wheel")
    assert scores["gambling"] > scores[HARMLESS]


@given(st.text(max_size=400))
@settings(max_examples=50)
def test_any_text_can_be_read(text):
    assert all(0 <= row < ROWS for row in rows_of_text(text, ROWS))
    assert len(shipped().read("some.example", text).proposals) <= 3


def test_a_long_page_costs_no_more_than_its_beginning():
    words = " ".join(f"word{number}" for number in range(20_000))
    assert rows_of_text(words, ROWS) == rows_of_text(words[:4000], ROWS)


def test_what_is_no_word_is_looked_at_to_sixty_letters():
    assert rows_of_text("b" * 60 + "c" * 3000, ROWS) == rows_of_text("b" * 60, ROWS)
    assert all(len(word) <= 60 for some in corpus().values() for text in some for word in text.split())
