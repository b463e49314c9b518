"""The house stands as it is drawn: our names are ours, the locks are clean, nothing of this machine is in the repository."""

import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("admin_api", "appliance", "category_lists", "change_control", "dns", "monitoring", "policy", "proxy")
DNSPYTHON = {"message", "name", "rdata", "resolver", "query", "zone", "exception", "flags", "edns", "rdatatype", "rcode", "version"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_folders_name_leads_here(folder):
    assert Path(importlib.import_module(folder).__file__).parent == ROOT / folder


def test_no_file_of_ours_bears_a_name_of_dnspython():
    assert not DNSPYTHON & {path.stem for path in (ROOT / "dns").glob("*.py")}


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt"])
def test_the_locks_hold_hashes_and_no_address(lock):
    text = (ROOT / "requirements" / lock).read_text()
    assert not re.search(r"^(dnspython|email-validator|proxy-py|fastapi\[)", text, re.MULTILINE)
    assert not re.search(r"https?://|--index-url|--find-links", text)
    packages = re.findall(r"^[\w.\[\]-]+==", text, re.MULTILINE)
    assert len(packages) > 40
    assert text.count("--hash=sha256:") >= len(packages)


def test_the_import_contracts_hold():
    done = subprocess.run(["lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": str(ROOT / ".venv/bin"), "COLUMNS": "200"})
    assert done.returncode == 0, done.stdout


def test_every_module_has_its_test_or_is_told_by_a_journey():
    told_elsewhere = {  # thin wiring that only whole stories exercise
        "appliance": "journeys",
    }
    for folder in FOLDERS:
        assert (ROOT / "tests" / told_elsewhere.get(folder, folder)).is_dir(), folder
