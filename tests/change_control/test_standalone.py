"""The single-file verifier, run where nothing of the product is: it says what `schoolgate changes verify` says."""

import json
import random
import subprocess
import sys
import venv
from pathlib import Path

import cryptography
import pytest

from change_control import standalone
from change_control.changes import SiteWish
from change_control.offline import fingerprint, verify_text
from change_control.replay import DoesNotAgree
from change_control.verify import write_export
from policy.live import Trust
from policy.proof import digest
from policy.rules import Action

PARTS = ("cryptography", "cffi", "_cffi_backend*", "pycparser")


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """A bare environment with the package cryptography, and the verifier: `elsewhere(words...)` runs it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "env", with_pip=False)
    (packages,) = (folder / "env" / "lib").glob("python3*/site-packages")
    for part in PARTS:
        for path in Path(cryptography.__file__).parents[1].glob(part):
            (packages / path.name).symlink_to(path)
    (folder / "verify.py").write_text(standalone.text())

    def run(*words):
        command = [str(folder / "env" / "bin" / "python"), "-I", str(folder / "verify.py"), *map(str, words)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, env={}, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def export(world):
    """An export with a change that was approved, one that was refused, and one signed by passkey."""
    for site, act in (("crazygames.com", "approve"), ("poki.com", "refuse"), ("bet365.com", "approve")):
        with world.store.write() as session:
            wish = SiteWish(site, Action.ALLOW, ("ks2",))
            row = world.office.request(session, "oakfield", wish, by=world.who(session, "adam"), reason="for class")
            helen = world.who(session, "helen")
            if act == "refuse":
                world.office.refuse(session, row, helen, "no")
            else:
                world.office.approve(session, row, helen, world.signer(session, "helen"), digest(row.diff))
    with world.store.read() as session:
        return json.loads(write_export(session, Trust.load(world.data)))


def ours(text, key=""):
    try:
        return 0, "\n".join(verify_text(text, key)) + "\n", ""
    except DoesNotAgree as error:
        return 1, "", f"does not agree: {error}\n"


def test_nothing_of_the_product_is_there(elsewhere, tmp_path):
    code, said, wrong = elsewhere("--help")
    assert code == 0, wrong
    assert "Does a change log of Schoolgate agree?" in said
    assert elsewhere(tmp_path / "none.json")[0] == 2


def test_it_says_the_same_of_a_good_export_and_of_broken_ones(world, export, elsewhere, tmp_path):
    assert export["verifier"]["text"] == standalone.text(), "it goes with each export"
    texts = {"good": json.dumps(export), "none": "{}"}
    chance = random.Random(7)
    log = next(one for one in export["logs"] if one["log"] == "oakfield")
    for name, spoil in SPOILT.items():
        copy = json.loads(json.dumps(export))
        spoil(next(one for one in copy["logs"] if one["log"] == "oakfield"), chance)
        texts[name] = json.dumps(copy)
    for name, text in texts.items():
        path = tmp_path / f"{name}.json"
        path.write_text(text)
        found = elsewhere(path)
        assert found == ours(text), name
        assert found[0] == (0 if name == "good" else 1), (name, found)
    assert len(log["entries"]) > 10


SPOILT = {
    "flipped": lambda log, chance: log["entries"].__setitem__(7, flip(log["entries"][7], chance)),
    "dropped": lambda log, chance: log["entries"].pop(5),
    "cut": lambda log, chance: log["entries"].pop(),
    "twice": lambda log, chance: log["entries"].insert(5, log["entries"][5]),
    "swapped": lambda log, chance: log["entries"].__setitem__(slice(4, 6), log["entries"][5:3:-1]),
    "key": lambda log, chance: log.__setitem__("checkpoint", log["checkpoint"].replace("birchwood ", "otherwood ")),
}


def flip(text, chance):
    at = chance.randrange(len(text))
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


def test_the_key_is_shown_and_compared(world, export, elsewhere, tmp_path):
    path = tmp_path / "export.json"
    path.write_text(json.dumps(export))
    key = fingerprint(Trust.load(world.data).public)
    code, said, _ = elsewhere(path)
    assert (code, f"signed under the key of birchwood, fingerprint {key}" in said) == (0, True)
    assert "Compare that with" in said
    for given in (key, key.replace(" ", "").upper(), export["public"]):
        code, said, wrong = elsewhere(path, "--key", given)
        assert (code, wrong) == (0, "")
        assert "Compare" not in said
    for other in ("0" * 40, key[:-1] + ("0" if key[-1] != "0" else "1"), "birchwood"):
        code, said, wrong = elsewhere(path, "--key", other)
        assert (code, said) == (1, "")
        assert "signed under another key than the one given" in wrong


def test_an_export_forged_as_a_whole_is_told_by_its_key(world, export, elsewhere, tmp_path):
    """Whoever forges everything signs it himself; only the fingerprint tells."""
    from change_control.keys import AuthorityKey, b64
    from policy.proof import Checkpoint, read_checkpoint

    forger = AuthorityKey("birchwood", b"f" * 32)
    known = Trust.load(world.data)
    for log in export["logs"]:
        good = read_checkpoint(log["checkpoint"], "birchwood", known.public)
        log["checkpoint"] = forger.sign(Checkpoint(good.origin, good.size, good.root))
    export["public"] = b64(forger.public)
    path = tmp_path / "export.json"
    path.write_text(json.dumps(export))
    assert elsewhere(path)[0] == 0, "it agrees with itself"
    code, _, wrong = elsewhere(path, "--key", fingerprint(known.public))
    assert code == 1
    assert "another key" in wrong


def test_the_file_is_readable_and_of_this_product(world):
    compile(standalone.text(), "verify", "exec")
    assert sys.version_info >= (3, 12)
    assert standalone.text().count("MODULES[") == len(standalone.MODULES)
    assert len(standalone.sha256()) == 64
