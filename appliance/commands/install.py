"""`schoolgate install` and `schoolgate uninstall`: what would be done is shown; `--yes` does it."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from appliance import installing
from appliance.installing import Place, Step


def words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do it; without, it is only shown")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="write below this folder, for an image; runs nothing"
    )
    way_back = parser.prog.endswith("uninstall")
    parser.set_defaults(run=uninstall if way_back else install)


def install(words: argparse.Namespace) -> int:
    place = Place(words.root)
    if not _go(words.yes, place, installing.installing(place)):
        return 0
    if place.real:
        print(
            f"\nNext, as docs/deploy.md tells:\n  edit {place.config}\n"
            f"  sudo -u {installing.USER} schoolgate init --authority NAME --school NAME --data {place.data}\n"
            "  systemctl start schoolgate\n  and on a router: schoolgate gateway plan, then apply"
        )
    return 0


def uninstall(words: argparse.Namespace) -> int:
    place = Place(words.root)
    if _go(words.yes, place, installing.uninstalling(place)):
        print(f"\n{place.data}, {place.config.parent} and the user {installing.USER} stay: the school's record is there.")
    return 0


def _go(yes: bool, place: Place, steps: Iterator[Step]) -> bool:
    if yes and (why := installing.refused(place)):
        raise PermissionError(1, why)
    for step in steps:
        print(f"{'is so' if step.done else 'done' if yes else 'would':>6}: {step.words}", flush=True)
        if yes and not step.done:
            step.act()
    if not yes:
        print("Nothing was changed. With --yes it is done.")
    return yes
