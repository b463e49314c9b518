"""`schoolgate lists update|subscribe|catalogue|diff|seal`: feeds, what changed in a list, and the sealed list."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import select

from appliance.commands.lists_import import hush, say
from appliance.commands.words import WrongWords, config_of, data_option
from appliance.founding import Founded, open_installation
from appliance.updater import Busy, Updater
from category_lists import feed_state, sealed
from category_lists.catalogue import Feed
from category_lists.compare import compare
from change_control import list_service
from change_control.ledger import LedgerMismatch
from change_control.tables import LogRow
from policy.live import Objects


def add(kinds: Any) -> None:
    update = kinds.add_parser("update", help="fetch the feeds that are due, or one of them now")
    update.add_argument("--feed", metavar="ID", help="this feed, due or not")
    data_option(update)
    update.set_defaults(run=run_update)

    subscribe = kinds.add_parser("subscribe", help="ask the headteacher for a subscription to a feed")
    subscribe.add_argument("feed", metavar="ID", help="a feed of `schoolgate lists catalogue`")
    subscribe.add_argument("--school", help="at this school alone (default: at the authority and every school)")
    subscribe.add_argument("--reason", default="", help="why, in a sentence")
    subscribe.add_argument("--days", type=int, default=365, help="for how long, at most 365 (the default)")
    data_option(subscribe)
    subscribe.set_defaults(run=run_subscribe)

    shown = kinds.add_parser("catalogue", help="the feeds that can be subscribed to")
    shown.add_argument("--json", action="store_true")
    data_option(shown)
    shown.set_defaults(run=run_catalogue)

    diff = kinds.add_parser("diff", help="what came and went between two versions of a list")
    diff.add_argument("old", metavar="OLD", help="LIST@VERSION as `status` names it, or a kept file")
    diff.add_argument("new", metavar="NEW")
    diff.add_argument("--json", action="store_true")
    data_option(diff)
    diff.set_defaults(run=run_diff)

    seal = kinds.add_parser("seal", help="take in a licensed bundle of illegal content; two people sign it at the desk")
    seal.add_argument("file", type=Path, metavar="FILE", help="one address a line; afterwards destroy it")
    seal.add_argument("--issuer", default="", help="who issued it (default: its line `# issuer:`)")
    seal.add_argument("--issued", default="", metavar="DATE", help="when (default: its line `# issued:`)")
    data_option(seal)
    seal.set_defaults(run=run_seal)


def run_update(words: argparse.Namespace) -> int:
    config = config_of(words)
    with open_installation(config.data, config.desk_database) as founded:
        return _update(Updater.open(config, founded, say), words)


def _update(updater: Updater, words: argparse.Namespace) -> int:
    if words.feed and words.feed not in updater.feeds:
        raise WrongWords(f"there is no feed {words.feed!r}; `schoolgate lists catalogue` names them")
    wanted = [words.feed] if words.feed else updater.due()
    if not wanted:
        some = sorted(updater.subscribers())
        print(f"nothing is due; subscribed: {', '.join(some)}" if some else "there is no subscription yet")
        return 0
    try:
        outcomes = updater.update(wanted)
    except Busy as error:
        raise ValueError(str(error)) from None
    finally:
        hush()
    for outcome in outcomes:
        print("\n".join(outcome.lines))
    return 0 if all(outcome.good for outcome in outcomes) else 1


def run_subscribe(words: argparse.Namespace) -> int:
    config = config_of(words)
    with open_installation(config.data, config.desk_database) as founded:
        return _subscribe(founded, Updater.open(config, founded).feeds, words)


def _subscribe(founded: Founded, feeds: Mapping[str, Feed], words: argparse.Namespace) -> int:
    if words.feed not in feeds:
        raise WrongWords(f"there is no feed {words.feed!r}; `schoolgate lists catalogue` names them")
    feed, done = feeds[words.feed], 0
    for log, name in _logs(founded, words.school):
        try:
            with founded.store.write() as session:
                reason = words.reason or f"{feed.name} ({feed.licence}), {feed.home}"
                row = list_service.subscribe(founded.office, session, log, feed, by=None, reason=reason, days=words.days)
        except LedgerMismatch:
            raise
        except ValueError as error:
            print(f"  {name}: {error}")
            continue
        done += 1
        print(f"  {name}: change {row.id} waits for approval; then updates within its bounds take effect by themselves")
    return 0 if done else 1


def _logs(founded: Founded, school: str | None) -> list[tuple[str, str]]:
    with founded.store.read() as session:
        rows = session.execute(select(LogRow.id, LogRow.name).order_by(LogRow.tier, LogRow.id))
        found = [(str(log), str(name)) for log, name in rows]
    if school and school not in dict(found):
        raise WrongWords(f"there is no school {school!r}; there are: {', '.join(log for log, _ in found)}")
    return [(log, name) for log, name in found if not school or log == school]


def run_catalogue(words: argparse.Namespace) -> int:
    config = config_of(words)
    with open_installation(config.data, config.desk_database) as founded:
        return _catalogue(Updater.open(config, founded), words)


def _catalogue(updater: Updater, words: argparse.Namespace) -> int:
    subscribed = updater.subscribers()
    if words.json:
        print(
            json.dumps(
                [
                    {
                        "id": feed.id,
                        "name": feed.name,
                        "address": feed.address,
                        "format": feed.format,
                        "licence": feed.licence,
                        "maintainer": feed.maintainer,
                        "categories": sorted(feed.categories),
                        "every_hours": feed.every_hours,
                        "vouches": feed.vouches,
                        "subscribed": subscribed.get(feed.id, []),
                        "state": asdict(feed_state.load(updater.data, feed.id)),
                    }
                    for feed in updater.feeds.values()
                ]
            )
        )
        return 0
    for feed in sorted(updater.feeds.values(), key=lambda feed: feed.id):
        vouches = "  [also opens sites: it vouches]" if feed.vouches else ""
        mark = f"{vouches}  [subscribed: {', '.join(subscribed[feed.id])}]" if feed.id in subscribed else vouches
        print(f"{feed.id:24} {feed.name} ({feed.licence}){mark}")
        print(f"{'':24} {', '.join(sorted(feed.categories))}")
    return 0


def run_diff(words: argparse.Namespace) -> int:
    folder = config_of(words).data / "lists"
    found = compare(_version(folder, words.old), _version(folder, words.new))
    if words.json:
        told = {name: getattr(found, name) for name in ("before", "after", "added", "removed")}
        print(json.dumps({**told, "came": found.came, "went": found.went}))
        return 0
    print(f"{found.before:,} entries before, {found.after:,} after: {found.added:,} came, {found.removed:,} went")
    for mark, rows, total in (("+", found.came, found.added), ("-", found.went, found.removed)):
        for row in rows:
            print(f"  {mark} {row}")
        if total > len(rows):
            print(f"  {mark} … and {total - len(rows):,} more")
    return 0


def _version(folder: Path, text: str) -> Path:
    """A kept list by `id@version` (the version's date and digits, or the first of its digest), or by its file."""
    if (file := Path(text)).is_file():
        return file
    name, _, version = text.partition("@")
    if not name or "/" in name or name.startswith("."):
        raise WrongWords(f"{text!r} is neither LIST@VERSION nor a file")
    wanted = version.rpartition("-")[2]
    found = sorted(path for path in (folder / name).glob("*.txt") if path.stem.startswith(wanted))
    if len(found) != 1:
        there = ", ".join(path.stem[:8] for path in sorted((folder / name).glob("*.txt")))
        raise ValueError(f"{len(found)} kept lists are called {text!r}; of {name} there are: {there or 'none'}")
    return found[0]


def run_seal(words: argparse.Namespace) -> int:
    config = config_of(words)
    with open_installation(config.data, config.desk_database) as founded:
        return _seal(founded, words)


def _seal(founded: Founded, words: argparse.Namespace) -> int:
    objects = Objects(founded.data)
    bundle, refused = sealed.seal(
        words.file, objects.sealed_folder, objects.sealed_key, issuer=words.issuer, issued=words.issued
    )
    print(
        f"sealed: {bundle.entries:,} entries of {bundle.issuer}, issued {bundle.issued}; {refused:,} lines could not be taken"
    )
    for log, name in _logs(founded, None):
        with founded.store.write() as session:
            row = list_service.request_sealed(founded.office, session, log, bundle)
        print(f"  {name}: change {row.id} waits for the headteacher's signature and a second person's")
    print("Nobody can read the entries from here on. Destroy the file that you took in.")
    return 0
