"""How often is the filter right? Over real lists, taken in by `schoolgate lists import`, with a split of our own.

    .venv/bin/python benchmarks/accuracy.py --data DIR --shared SHARED [--seed 1]

DIR is an installation into which full-size lists were imported; SHARED holds `scale/merged-domain-category.tsv.zst` (names
with the category that some list gives them), `lists/` and `examples/`. Four questions, each a table:

1. Of harmful names that a loaded list knows, how many are refused to ks2 and ks3?
2. Of sites that must stay open, how many are refused to ks3? Names of the examples, and names that lists of education, news,
   government, sport and health hold and our own lists do not: those lists were not taken in, so nothing protects their names.
3. Of harmful names that no list knows, for how many does the model propose the right category, and at how many harmless ones?
   A fifth of all sites (by a checksum of the registered name) is kept from training; the model is trained on the others.
   A registered name is what is below a public suffix, so that names below `blogspot.com` are sites of their own.
   Beside them stand the pages: our own short texts, each judged by a model that has not learned from it, alone and together
   with names that no list knows.
4. Of harmful searches and texts, how many are found, at how many harmless ones?
"""

import argparse
import csv
import math
import random
import subprocess
import sys
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # not this folder, where dns.py stands

from appliance.commands.evaluating import judge_of
from category_lists import suffixes
from category_lists.classifier import GENERATED, HARMLESS, Model, harm_in, shipped
from category_lists.evaluate import Judge
from category_lists.examples import Examples, box_examples, our_examples
from category_lists.lists import ListVersion, starter
from category_lists.names import NameRefused, canonical_host, is_address, parents
from category_lists.phrases import shipped as shipped_phrases
from category_lists.taxonomy import load as load_taxonomy
from category_lists.train import train
from category_lists.train_texts import corpus, held_out
from policy.live import Live, Objects
from policy.rules import Dictionary, read

OPEN = ("education", "news", "sports", "sex_education_health", "health", "government_law")
SIX = ("dating", "drugs_substance", "gambling", "hacking", "piracy", "pornography")
A_SAMPLE = 3000


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--shared", type=Path, required=True)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--questions", type=int, nargs="+", default=[1, 2, 3, 4])
    given = words.parse_args()
    dice = random.Random(given.seed)
    judge = judge_of(Live(given.data).snapshot, None, datetime.now(UTC))
    said = categories_of(given.shared)
    if 1 in given.questions:
        listed(said, judge, dice)
    if 2 in given.questions:
        must_open(given.shared, said, judge)
    if 3 in given.questions:
        unknown(given.data, dice)
    if 4 in given.questions:
        texts(given.shared)
        asked()


def categories_of(shared: Path) -> dict[str, set[str]]:
    """What lists say of each name: name -> categories."""
    packed = shared / "scale" / "merged-domain-category.tsv.zst"
    text = subprocess.run(["zstd", "-dc", str(packed)], capture_output=True, check=True, text=True).stdout
    found: dict[str, set[str]] = defaultdict(set)
    for line in text.splitlines():
        name, _, category = line.partition("\t")
        found[name].add(category)
    return found


def percent(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"


def listed(said: Mapping[str, set[str]], judge: Judge, dice: random.Random) -> None:
    known = load_taxonomy().categories
    by: dict[str, list[str]] = defaultdict(list)
    for name, categories in said.items():
        for category in categories:
            if category in known and known[category].phases["ks2"] == known[category].phases["ks3"] == "block":
                by[category].append(name)
    print(f"\n1. harmful names that a list knows, at most {A_SAMPLE} a category\n")
    print(f"{'category':30} {'names':>6} {'ks2':>8} {'ks3':>8}")
    total: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for category, names in sorted(by.items()):
        some = dice.sample(sorted(names), min(A_SAMPLE, len(names)))
        refused: Counter[str] = Counter()
        counted = 0
        for name in some:
            try:
                answers = {phase: judge(name, phase) for phase in ("ks2", "ks3")}
            except NameRefused:
                continue
            counted += 1
            for phase, answer in answers.items():
                refused[phase] += answer.action == "block"
            if answers["ks3"].action != "block":
                missed[answers["ks3"].category or "no list in force"] += 1
        total["names"] += counted
        total.update(refused)
        print(f"{category:30} {counted:6} {percent(refused['ks2'], counted):>8} {percent(refused['ks3'], counted):>8}")
    print(
        f"{'all':30} {total['names']:6} {percent(total['ks2'], total['names']):>8} {percent(total['ks3'], total['names']):>8}"
    )
    print("not refused because of:", ", ".join(f"{why} {count}" for why, count in missed.most_common(8)))


def must_open(shared: Path, said: Mapping[str, set[str]], judge: Judge) -> None:
    ours = {name for _, path in starter() for name in _names(path)}
    groups: dict[str, list[str]] = defaultdict(list)
    with (shared / "examples" / "must_allow_examples.csv").open(encoding="utf-8", newline="") as file:
        groups["examples"] = [row["domain"] for row in csv.DictReader(file)]
    for name, categories in said.items():
        of_it = categories & set(OPEN)
        if of_it and not is_address(name) and not any(each in ours for each in parents(name)):
            groups[f"listed as {min(of_it)}"].append(name)
    print("\n2. sites that must stay open, refused to ks3\n")
    print(f"{'group':34} {'names':>6} {'refused':>8}")
    blamed: Counter[tuple[str, str]] = Counter()
    for group, names in sorted(groups.items()):
        refused = 0
        for name in names:
            answer = judge(name, "ks3")
            if answer.action == "block":
                refused += 1
                blamed[answer.list or "", answer.category or ""] += 1
        print(f"{group:34} {len(names):6} {percent(refused, len(names)):>8}")
    print("by:", ", ".join(f"{name} ({category}) {count}" for (name, category), count in blamed.most_common(10)))


def _names(path: Path) -> Iterable[str]:
    for line in path.read_text("utf-8").splitlines():
        name = line.partition(" ")[0]
        if name and name[0] != "#" and "/" not in name:
            yield name


def _held(name: str) -> bool:
    """Whether a site is kept from training: a fifth, all names below one registered name together."""
    return zlib.crc32(suffixes.load().site_of(name).encode()) % 5 == 0


def unknown(data: Path, dice: random.Random) -> None:
    objects = Objects(data)
    named = read(Dictionary, objects.text(Live(data).snapshot.authority.dictionary))
    lists = [
        (ListVersion(one.id, one.category, one.version, one.digest, one.entries, "", "normal"), path)
        for one in named.lists
        if (path := data / "lists" / one.id / f"{one.digest}.txt").exists()
    ]
    ours = our_examples()
    own = {name for names in ours.named.values() for name in names} | set(ours.harmless)
    whole = box_examples(lists)
    hidden = {kind: {name for name in names if _held(name) and name not in own} for kind, names in whole.named.items()}
    calm = sorted({name for name in whole.sure if _held(name) and name not in own})
    others = sorted({name for name in whole.harmless if _held(name) and name not in own} - set(calm))
    kept = Examples(
        {kind: [name for name in names if name not in hidden[kind]] for kind, names in whole.named.items()},
        [name for name in whole.harmless if name in own or not _held(name)],
        [name for name in whole.sure if name in own or not _held(name)],
    )
    begun = time.monotonic()
    trained = train(kept, {})
    print(f"\n3. names that no list knows (training took {time.monotonic() - begun:.0f} s)\n")
    print(f"{'category':34} {'names':>6} {'trained: right':>16} {'any':>8} {'as shipped: right':>18} {'any':>8}")
    truth: dict[str, set[str]] = defaultdict(set)
    for kind, names in hidden.items():
        for name in names:
            truth[name].add(kind)
    asked: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for kind, names in sorted(hidden.items()):
        if kind != GENERATED and len(names) >= 20:
            some = dice.sample(sorted(names), min(1000, len(names)))
            here, there = _proposed(trained, some, truth), _proposed(shipped(), some, truth)
            _row(kind, here, there)
            for group, of_it in (("all closed to ks3", _closed()), ("six that schools mean", SIX)):
                if kind in of_it:
                    asked[group, "here"] += here
                    asked[group, "shipped"] += there
    for group in ("all closed to ks3", "six that schools mean"):
        _row(group, asked[group, "here"], asked[group, "shipped"])
    _row("harmless: education, news, sport", _proposed(trained, calm, {}), _proposed(shipped(), calm, {}))
    _row("harmless: all other feeds", _proposed(trained, others, {}), _proposed(shipped(), others, {}))
    pages(trained, {kind: sorted(names) for kind, names in hidden.items()} | {HARMLESS: calm}, dice)


def pages(trained: Model, names: Mapping[str, Sequence[str]], dice: random.Random) -> None:
    """What the model of page texts finds of texts that it has not learned, alone and together with names."""
    texts = shipped().texts
    assert texts
    held: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, _, scores in held_out(corpus()):
        held[kind].append(scores)

    def asked(way: str, kind: str, shares: Mapping[str, float], line: float) -> None:
        likely = max((each for each in shares if each != HARMLESS), key=shares.__getitem__)
        some = harm_in(shares, texts.against) >= line
        found[way].update(
            {"harmless": 1, "called": some} if kind == HARMLESS else {"texts": 1, "right": some and likely == kind}
        )

    for kind, scored in held.items():
        for scores in scored:
            asked("the text alone", kind, trained.together("", scores), texts.alone)
            for name in dice.choices(names[kind], k=50) if names.get(kind) else ():
                asked("name and text, learned here", kind, trained.together(name, scores), texts.line)
                asked("name and text, as shipped", kind, shipped().together(name, scores), texts.line)
    print(f"\n{'pages':30} {'texts':>7} {'right':>8} {'harmless':>9} {'called':>8}")
    for way, counts in found.items():
        right, called = percent(counts["right"], counts["texts"]), percent(counts["called"], counts["harmless"])
        print(f"{way:30} {counts['texts']:7} {right:>8} {counts['harmless']:9} {called:>8}")


def _closed() -> set[str]:
    return {one.id for one in load_taxonomy().categories.values() if one.phases["ks3"] == "block"}


def _row(title: str, here: Counter[str], there: Counter[str]) -> None:
    cells = [percent(counts[what], counts["names"]) for counts in (here, there) for what in ("right", "some")]
    print(f"{title:34} {here['names']:6} {cells[0]:>16} {cells[1]:>8} {cells[2]:>18} {cells[3]:>8}", end="  ")
    what = "some" if "harmless" in title else "right"
    print("95 %: {:.2%} to {:.2%}".format(*interval(here[what], here["names"])))


def interval(part: int, whole: int) -> tuple[float, float]:
    """Between what a share of all such names may lie, nineteen times in twenty (Wilson)."""
    share, spread = part / whole, 1.96**2 / whole
    middle = (share + spread / 2) / (1 + spread)
    wide = math.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
    return middle - wide, middle + wide


def _proposed(model: Model, names: Sequence[str], truth: Mapping[str, set[str]]) -> Counter[str]:
    counts: Counter[str] = Counter(names=len(names))
    for name in names:
        proposals = {one.category for one in model.propose(canonical_host(name))}
        counts["some"] += bool(proposals)
        counts["right"] += bool(proposals & truth.get(name, set()))
    return counts


def asked() -> None:
    """What we wrote as a test and nothing learned from, by the set it belongs to; then by theme."""
    phrases = shipped_phrases()
    counts: Counter[tuple[str, str, bool]] = Counter()
    with (Path(__file__).parent / "data" / "blind.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found = bool(phrases.score(row["text"], row["kind"], phase="ks4").themes)  # type: ignore[arg-type]
            harmful = row["label"] != "benign"
            for kind in (f"{row['source']}, {row['kind']}", *((row["category"],) if harmful else ())):
                counts[kind, "harmful" if harmful else "harmless", found] += 1
    print(f"\n{'what we wrote':32} {'label':10} {'texts':>6} {'found':>8}")
    for kind, label in sorted({(kind, label) for kind, label, _ in counts}):
        found, missed = counts[kind, label, True], counts[kind, label, False]
        print(f"{kind:32} {label:10} {found + missed:6} {percent(found, found + missed):>8}")


def texts(shared: Path) -> None:
    phrases = shipped_phrases()
    counts: Counter[tuple[str, str, bool]] = Counter()
    with (shared / "examples" / "text_examples.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            score = phrases.score(row["text"], row["kind"], phase="ks4")  # type: ignore[arg-type]  # page or search
            counts[row["kind"], row["label"], score.action != "allow"] += 1
    print("\n4. texts of the examples\n")
    print(f"{'kind':10} {'label':12} {'texts':>6} {'found':>8}")
    for kind, label in sorted({(kind, label) for kind, label, _ in counts}):
        found, missed = counts[kind, label, True], counts[kind, label, False]
        print(f"{kind:10} {label:12} {found + missed:6} {percent(found, found + missed):>8}")


if __name__ == "__main__":
    main()
