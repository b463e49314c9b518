"""A real installation, from `schoolgate init` to the first signed rule: no demonstration, no known password."""

import json
import re
import signal
import ssl
import subprocess
from pathlib import Path

import httpx2
import pyotp
import pytest

from .conftest import SCHOOLGATE, Box, until

KS2 = "127.31.2.5"


@pytest.fixture(scope="module")
def installation(tmp_path_factory, internet):
    """`init`, then `up` with a configuration file, as a technician does."""
    tmp_path = tmp_path_factory.mktemp("installation")
    data = tmp_path / "data"
    done = subprocess.run(
        [SCHOOLGATE, "init", "--authority", "Ashdown Council", "--school", "St Mary's Primary", "--phase", "primary",
         "--network", "ks2=127.31.2.0/24", "--network", "staff=127.31.9.0/24", "--data", str(data)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    config = tmp_path / "schoolgate.yaml"
    config.write_text(
        f"""
dns: {{listen: "127.0.0.1:0", upstreams: ["127.0.0.1:{internet.dns_port}"], workers: 1}}
proxy: {{listen: ["127.0.0.1:0"], upstream_ca: "{internet.ca}", workers: 1}}
admin: {{listen: ["127.0.0.1:0"]}}
"""
    )
    log = tmp_path / "up.log"
    with log.open("wb") as out:
        process = subprocess.Popen([SCHOOLGATE, "up", "--config", str(config), "--data", str(data)], stdout=out, stderr=out)
    ready = data / "run" / "ready.json"
    until(lambda: process.poll() is not None or ready.exists(), 90, "up")
    assert process.poll() is None, log.read_text()
    box = Box(data, process, internet, log)
    yield box, done.stdout
    for client in box.clients:
        client.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def enrol(box: Box, code: str, username: str, secret: str | None = None) -> str:
    """Fill in the first-run page; the secret that the phone would hold."""
    client = httpx2.Client(base_url=box.ready["admin"], verify=ssl.create_default_context(cafile=box.ca), timeout=30)
    with client:
        token = re.search(r'name="token" value="([^"]+)"', client.get("/enrol").text)[1]
        step = client.post("/enrol", data={"token": token, "code": code})
        assert step.status_code == 200, step.text
        fields = dict(re.findall(r'name="(token|code|sealed)" value="([^"]*)"', step.text))
        shown = re.search(r'class="secret">([^<]+)<', step.text)[1].replace(" ", "")
        phone = secret or shown
        done = client.post(
            "/enrol", data={**fields, "username": username, "password": "three random words", "totp": pyotp.TOTP(phone).now()}
        )
        assert done.status_code == 303, re.findall(r'class="error[^"]*">([^<]+)', done.text)
        again = client.post("/enrol", data={"token": token, "code": code})
        assert again.status_code == 403, "a code is used once"
    return phone


def session(box: Box, username: str, secret: str) -> httpx2.Client:
    client = httpx2.Client(base_url=box.ready["admin"], verify=ssl.create_default_context(cafile=box.ca), timeout=30)
    box.clients.append(client)
    said = client.post(
        "/api/v1/session", json={"username": username, "password": "three random words", "totp": pyotp.TOTP(secret).now()}
    )
    assert said.status_code == 201, said.text
    return client


def test_from_nothing_to_the_first_signed_rule(installation, tmp_path):
    box, printed = installation
    codes = {line.split("  ", 2)[2]: line.split()[0] for line in printed.splitlines() if re.match(r"  [A-Z0-9]{4}-", line)}
    assert len(codes) == 3
    officer_home, head_code, officer_second = (
        next(code for who, code in codes.items() if who.startswith(start))
        for start in ("LA officer of Ashdown", "headteacher of St Mary's", "LA officer as second")
    )
    assert box.resolves("crazygames.com", KS2) == "blocked", "it filters before anyone has enrolled"

    officer = enrol(box, officer_home, "laura")
    enrol(box, officer_second, "laura", officer)
    head_secret = enrol(box, head_code, "helen")

    # a list waits: nobody has signed a mandate here
    gambling = tmp_path / "bets.txt"
    gambling.write_text("newbets.example\nnot a name\n")
    done = box.run("lists", "import", str(gambling), "--format", "domains", "--category", "gambling")
    assert (done.returncode, done.stdout.count("waits for approval")) == (0, 2), done.stdout + done.stderr
    assert "1 line refused" in done.stdout
    assert box.run("lists", "lookup", "newbets.example", "--school", "st-mary-s-primary", "--json").returncode == 1

    head = session(box, "helen", head_secret)
    (change,) = head.get("/api/v1/changes", params={"state": "requested"}).json()["changes"]
    assert "bets-gambling" in change["sentence"]
    said = head.post(
        f"/api/v1/changes/{change['id']}/approve", json={"digest": change["digest"], "totp": pyotp.TOTP(head_secret).now()}
    )
    assert said.json()["state"] == "in_force", said.text
    found = box.run("lists", "lookup", "www.newbets.example", "--school", "st-mary-s-primary", "--json")
    assert json.loads(found.stdout)["matches"][0]["category"] == "gambling"
    until(lambda: box.resolves("newbets.example", KS2) == "blocked", 3, "the list is in force")
    assert box.run("changes", "verify").returncode == 0

    # the lists in force against labelled names
    labelled = tmp_path / "labelled.csv"
    labelled.write_text(
        "domain,true_category,also_acceptable,primary,secondary,staff\n"
        "newbets.example,gambling,,block,block,block\nnhs.uk,health,,allow,allow,allow\n"
    )
    done = box.run("lists", "evaluate", str(labelled), "--school", "st-mary-s-primary", "--json")
    totals = json.loads(done.stdout)["totals"]["secondary"]
    assert (totals["block_rate"], totals["over_block_rate"]) == (1.0, 0.0), done.stdout
    assert "0.0%" in box.run("lists", "evaluate", str(labelled)).stdout, "the authority's lists do not know it yet"
    done = box.run("lists", "import", str(gambling), "--format", "domains", "--category", "gambling", "--id", "starter-x")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)

    # what texts are about, by the phrase sets; every line has its answer, an empty one too
    texts = tmp_path / "searches.txt"
    texts.write_text("scunthorpe essex\n\nfree p0rn\n")
    done = box.run("lists", "score", "--kind", "search", str(texts), "--json")
    scores = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["themes"], one["action"]) for one in scores] == [([], "allow"), ([], "allow"), (["pornography"], "block")]

    # a second headteacher cannot be made from the console
    done = box.run("code", "--school", "st-mary-s-primary")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_a_second_init_changes_nothing(installation):
    box, _ = installation
    before = sorted(path.read_bytes() for path in (box.data / "trust").iterdir())
    done = box.run("init", "--authority", "Other Council", "--school", "Other")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert sorted(path.read_bytes() for path in (box.data / "trust").iterdir()) == before


def test_secrets_are_for_the_owner_alone(installation):
    box, _ = installation
    secret = [
        path
        for path in Path(box.data).rglob("*")
        if path.is_file() and (path.parent.name == "secrets" or "key" in path.name or path.suffix == ".sqlite3")
    ]
    assert len(secret) >= 5
    for path in secret:
        assert path.stat().st_mode & 0o077 == 0, path
