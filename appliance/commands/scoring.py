"""`schoolgate lists score`: what a page or a search is about, by the phrase sets. One text a line, one answer a line."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from appliance.commands.words import data_option
from category_lists import classifier
from category_lists.classifier import Proposal
from category_lists.names import canonical_site
from category_lists.phrases import Phrases, Score, shipped
from category_lists.taxonomy import PHASES

_TOLD = 8  # hits of one text


def words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the texts, - for standard input")
    parser.add_argument("--kind", required=True, choices=("page", "search"))
    parser.add_argument("--phase", default="ks4", choices=PHASES, help="the younger the readers, the less it takes")
    parser.add_argument(
        "--site", default="", metavar="NAME", help="where the pages stand: what the model makes of name and text"
    )
    parser.add_argument("--json", action="store_true")
    data_option(parser, config=False)  # it reads nothing there yet; every command takes it
    parser.set_defaults(run=run)


def run(words: argparse.Namespace) -> int:
    phrases, model = shipped(), classifier.shipped()
    host = canonical_site(words.site).host if words.site else ""
    for text in _texts(words.file):
        score = phrases.score(text, words.kind, phase=words.phase)
        looks = model.read(host, *phrases.reading(text)).proposals if words.kind == "page" else ()
        if words.json:
            print(
                json.dumps(_fields(text, score, phrases) | {"proposed": [asdict(one) for one in looks]}, ensure_ascii=False)
            )
        else:
            print(_line(text, score) + _looks(looks, named=bool(host)))
    return 0


def _looks(looks: Sequence[Proposal], *, named: bool) -> str:
    likely = ", ".join(f"{one.category} ({one.probability:.0%})" for one in looks)
    return f"; {'name and text look' if named else 'it looks'} like {likely}" if likely else ""


def _texts(name: str) -> Iterator[str]:
    """Every line is a text, an empty one too, so that answers can be told apart by their place."""
    if name == "-":
        yield from _lines(sys.stdin)
        return
    try:
        with Path(name).open(encoding="utf-8", errors="replace", newline="\n") as file:
            yield from _lines(file)
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror or error}") from None


def _lines(file: Iterable[str]) -> Iterator[str]:
    for line in file:
        yield line.rstrip("\r\n")


def _fields(text: str, score: Score, phrases: Phrases) -> dict[str, object]:
    return {
        "text": text,
        "themes": list(score.themes),
        "scores": dict(score.themes),
        "score": score.total,
        "action": score.action,
        "hits": [{"theme": hit.theme, "phrase": hit.phrase, "weight": hit.weight} for hit in score.hits[:_TOLD]],
        "phrases": phrases.digest,
    }


def _line(text: str, score: Score) -> str:
    found = ", ".join(f"{theme} {points}" for theme, points in score.themes.items()) or "nothing"
    why = "; ".join(hit.phrase for hit in score.hits[:3]) if score.themes else ""
    return f"{score.action:5} {found}: {text[:80]}" + (f" ({why})" if why else "")
