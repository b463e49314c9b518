"""The README and docs/ do not lie: what they name is there."""

import argparse
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from admin_api.words import ENTRIES
from appliance.__main__ import parser
from appliance.config import ENVIRONMENT, SECTIONS
from policy.decide import PRECEDENCE

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOUSE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONFIGURATION = README.partition("\n## Configuration\n")[2].partition("\n## ")[0]


def inline(text: str) -> list[str]:
    """What stands between single backticks in prose."""
    return re.findall(r"`([^`\n]+)`", FENCED.sub("", text))


def commands_below(found: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in found._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def options_of(found: argparse.ArgumentParser) -> set[str]:
    """The options of a command and of all below it."""
    own = {option for action in found._actions for option in action.option_strings}
    return own.union(*(options_of(below) for below in commands_below(found).values()))


def command_lines(text: str) -> list[list[str]]:
    """Every `schoolgate ...` of a text, in words; inside prose also without its first word, as in `lists status`."""
    lines = [line for block in FENCED.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    fragments = inline(text)
    found = [match[1] for line in [*lines, *fragments] if (match := re.search(r"(?:^|[\s/])schoolgate +(.+)", line))]
    found += [each for each in fragments if each.partition(" ")[0] in commands_below(parser()) and " " in each]
    return [shlex.split(each) for each in found]


@pytest.mark.parametrize("words", command_lines(README), ids=" ".join)
def test_the_readmes_commands_are_there(words):
    at, rest = parser(), [*words]
    while (below := commands_below(at)) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        assert name in below
        at = below[name]
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= options_of(at)


def test_options_named_alone_are_some_commands():
    alone = {word for each in inline(README) for word in each.split() if word.startswith("--")}
    assert alone
    assert alone <= options_of(parser())


KEYS = [f"{section}.{each.name}" for section, kind in SECTIONS.items() for each in fields(kind)]


@pytest.mark.parametrize("key", KEYS)
def test_each_configuration_key_has_its_line_with_its_variable(key):
    (line,) = [line for line in CONFIGURATION.splitlines() if line.startswith(f"| `{key}` ")]
    section, _, name = key.partition(".")
    variables = {f"`{variable}`" for variable, where in ENVIRONMENT.items() if where == (section, name)}
    assert set(re.findall(r"`SCHOOLGATE_\w+`", line)) == variables


def test_the_table_of_the_configuration_names_no_other_key():
    assert set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` ", CONFIGURATION, re.MULTILINE)) == set(KEYS)


def test_the_readme_knows_the_environment_of_the_code_and_no_other():
    said = set(re.findall(r"SCHOOLGATE_[A-Z_]+", README))
    code = (ROOT / "appliance" / "config.py").read_text(encoding="utf-8")
    assert said == set(re.findall(r"SCHOOLGATE_[A-Z_]+", code))


def test_the_makefile_has_the_targets_that_are_named():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        code = [*FENCED.findall(text), *inline(text)]
        named = {target for each in code for target in re.findall(r"^make ([a-z]+)", each, re.MULTILINE)}
        assert named <= targets, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_the_house_names_files_that_are_there():
    rooms = re.findall(r"^\*\*(\w+)/\*\*(.*?)(?=^\*\*|^## )", HOUSE, re.MULTILINE | re.DOTALL)
    assert len(rooms) == 8
    for folder, text in rooms:
        first_cells = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
        for name in re.findall(r"`([^`]+)`", first_cells):
            assert "<" in name or (ROOT / folder / name).exists(), f"{folder}/{name}"


def test_the_house_tells_the_order_of_precedence():
    told = HOUSE.partition("\n## The order of precedence\n")[2]
    assert re.findall(r"^\d+\. `(\w+)`", told, re.MULTILINE) == [find.__name__ for find in PRECEDENCE]


def test_the_house_tells_every_kind_of_entry():
    told = HOUSE.partition("\n## The change log\n")[2].partition("\n**How a worker")[0]
    rows = " ".join(line.split("|")[1] for line in told.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([\w.]+)`", rows)) == set(ENTRIES)
