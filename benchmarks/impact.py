"""How fast past traffic is replayed for the approval page's "what would this have done?", on one core.

Run by hand: .venv/bin/python benchmarks/impact.py --events 400000
Four changes (a site, a path, a category, a timetabled category) over a made-up school week: 1,500 pupils, few names asked
for often, three quarters DNS and pieces of pages, a quarter pages of which each has a path of its own. First the replay
alone, then from a filter log on disk; then at twice the events, to show how it grows. Seconds are of one core's own time.
"""

import argparse
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from admin_api import past as desk
from category_lists.compiler import compile_index
from category_lists.index import Index
from category_lists.lists import find, store
from category_lists.taxonomy import load
from change_control.changes import CategoryWish, SiteWish
from change_control.impact import Past, Replay, after
from monitoring.log import Log
from policy.event import Event, Kind
from policy.identity import Clients
from policy.rules import Action, AuthorityPolicy, CategoryRule, Group, SchoolPolicy, SiteRule, Timetable, Window
from policy.search_engines import load as load_engines
from policy.snapshot import LoadedDictionary, Snapshot

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
GROUPS = {"ks3": "ks3", "ks4": "ks4", "sixth": "sixth-form", "staff": "staff"}
WISHES = {
    "site": SiteWish("site7.example", Action.ALLOW, ("ks3",)),
    "path of a site": SiteWish("site7.example/lessons", Action.ALLOW, ("ks3",)),
    "category": CategoryWish("games", Action.ALLOW, ("ks4",)),
    "category in lessons": CategoryWish("social_networks", Action.ALLOW, (), None, "lessons"),
}


def snapshot(folder: Path) -> Snapshot:
    kept = []
    for category in ("games", "social_networks", "gambling", "news"):
        source = folder / f"{category}.txt"
        dice = random.Random(category)
        names = sorted({f"site{dice.randrange(20_000)}.example" for _ in range(4_000)})
        source.write_text("".join(f"{name}\n" for name in names))
        version, _ = store(folder / "lists", source, list_id=category, category=category, format="domains", at=NOW)
        kept.append(find(folder / "lists", version.id, version.digest))
    index = folder / "index.bin"
    compile_index(kept, index)
    rules = tuple(
        SiteRule(f"s{n}", f"site{n * 31}.example", Action.ALLOW, n, until=datetime(2026, 12, 1 + n % 28, tzinfo=UTC))
        for n in range(1, 200)
    )
    school = SchoolPolicy(
        "hillview",
        "Hillview",
        "a",
        "d",
        tuple(Group(one, one.upper(), phase) for one, phase in GROUPS.items()),
        timetables=(Timetable("lessons", "Lessons", (Window((0, 1, 2, 3, 4), "09:00", "15:15"),)),),
        site_rules=rules,
        category_rules=(CategoryRule("k1", "news", Action.BLOCK, 1, ("ks3",), during="lessons"),),
    )
    authority = AuthorityPolicy("birchwood", "Birchwood", "d")
    dictionary = LoadedDictionary("d", Index.open(index), load(), load_engines())
    return Snapshot(1, authority, {"hillview": school}, {"a": authority}, {"d": dictionary}, {}, Clients([school]))


def traffic(count: int) -> list[Event]:
    dice = random.Random(1)
    start, length = NOW.timestamp() - 7 * 86_400, 7 * 86_400
    found = []
    for n in range(count):
        page = n % 4 == 0
        host = f"site{int(20_000 * dice.random() ** 3)}.example"
        blocked = dice.random() < 0.1
        found.append(
            Event(
                start + length * n / count,
                Kind.PAGE if page else dice.choice((Kind.DNS, Kind.RESOURCE)),
                "hillview",
                tuple(GROUPS)[n % 4],
                person=f"p-{dice.randrange(1_500)}",
                address="10.0.0.7",
                host=host,
                path=f"/lessons/{n}" if page else "",
                action="block" if blocked else "allow",
                reason="phase_default",
            )
        )
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--events", type=int, default=200_000)
    count = words.parse_args().events
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = snapshot(folder)
        print(f"{'change':22} {'events':>9} {'replay/s':>11} {'from the log/s':>15}")
        for size in (count // 2, count):
            events = traffic(size)
            with Log(f"sqlite:///{folder}/log-{size}.sqlite3") as log:
                for start in range(0, size, 20_000):
                    log.append(events[start : start + 20_000], {"bench": (1, start + 1)})
                lines = [
                    Past(e.group, e.host, e.at, e.path or None, True, 1, e.person, e.person, e.action == "allow")
                    for e in events
                ]
                for what, wish in WISHES.items():
                    then = after(before, "hillview", wish.diff(999, before.schools["hillview"], load()))
                    replay = Replay(before, then, "hillview")
                    began = time.process_time()
                    replay.feed(lines)
                    alone = size / (time.process_time() - began)
                    whole = Replay(before, then, "hillview")
                    began = time.process_time()
                    for batch in desk.past(log, before, "hillview", NOW):
                        whole.feed(batch)
                    read = whole.found().looked_at / (time.process_time() - began)
                    same = whole.found() == replay.found()
                    print(f"{what:22} {size:9,} {alone:11,.0f} {read:15,.0f}{'' if same else '   NOT THE SAME ANSWER'}")


if __name__ == "__main__":
    main()
