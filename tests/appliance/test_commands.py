"""The command line: what it says, on which stream, with which exit code."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.__main__ import main
from appliance.commands.explain import Teller
from policy.live import Live

from .conftest import INIT

SCHOOLGATE = str(Path(sys.executable).with_name("schoolgate"))
OAKFIELD = ["--school", "oakfield-primary", "--group", "ks2"]


@pytest.fixture
def run(capsys):
    """Run a command here; gives (exit code, output, error lines)."""

    def it(*words):
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:  # argparse's way
            code = ended.code
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return it


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


# --- words ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["up", "extra"],
        ["up", "--surprise"],
        ["two\nlines"],
        ["explain"],
        ["explain", "poki.com"],
        ["explain", "poki.com", "--school", "x"],
        ["explain", *OAKFIELD],
        ["explain", "poki.com", *OAKFIELD, "--batch", "-"],
        ["lists"],
        ["lists", "nonsense"],
        ["lists", "import", "x"],
        ["lists", "import", "x", "--format", "nonsense", "--category", "games"],
        ["lists", "import", "x", "--format", "domains"],
        ["changes"],
        ["changes", "nonsense"],
        ["changes", "export"],
        ["code"],
        ["init", "--phase", "nursery"],
        ["init"],
        ["init", "--authority", "Birchwood"],
        ["init", "--school", "Oakfield"],
        ["add-school"],
    ],
)
def test_wrong_words_are_told_in_one_line(run, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, errors = run(*words)
    assert (code, out, len(errors)) == (2, "", 1)
    assert errors[0].startswith("schoolgate: ")
    assert files(tmp_path) == []


def test_help_and_version_are_no_errors(run):
    assert run("--version")[0] == 0
    code, out, errors = run("explain", "--help")
    assert (code, errors) == (0, [])
    assert "--batch" in out


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "poki.com", *OAKFIELD],
        ["lists", "status"],
        ["lists", "lookup", "poki.com"],
        ["lists", "import", "x", "--format", "domains", "--category", "games"],
        ["changes", "verify"],
        ["changes", "export", "x"],
        ["add-school", "--school", "Hillview"],
        ["code", "--school", "oakfield"],
        ["up"],
    ],
)
def test_before_there_is_an_installation(run, words, tmp_path):
    code, out, errors = run(*words, "--data", tmp_path / "data")
    assert (code, out, len(errors)) == (1, "", 1)
    assert "schoolgate init" in errors[0]
    assert files(tmp_path) == []


def test_a_bad_configuration_is_wrong_words(run, tmp_path):
    (tmp_path / "schoolgate.yaml").write_text("dnss: {}")
    code, out, errors = run("changes", "verify", "--data", tmp_path)
    assert (code, out, len(errors)) == (2, "", 1)
    assert "did you mean 'dns'" in errors[0]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "cannot be used"),
        ("foo://bar", "cannot be used"),
        ("sqlite:///{data}/trust/authority.json", "file is not a database"),
        ("sqlite:///{data}/trust/authority.json/desk.sqlite3", "authority.json: File exists"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_in_one_line(run, installation, url, said):
    data, _ = installation
    (data / "schoolgate.yaml").write_text(f"database: {{desk: '{url.format(data=data)}'}}")
    code, out, errors = run("changes", "verify", "--data", data)
    assert (code, out, len(errors)) == (1, "", 1)
    assert said in errors[0]


# --- init -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--authority", "!!!", "--school", "Oakfield"],
        ["--authority", "Birchwood", "--school", "!!!"],
        ["--authority", "Birchwood", "--school", "birchwood"],
        ["--authority", "Birchwood", "--school", "Oak\udcfffield"],
        ["--authority", "Birchwood", "--school", "Oakfield", "--network", "ks2"],
        ["--authority", "Birchwood", "--school", "Oakfield", "--network", "ks4=10.0.0.0/8"],
        ["--authority", "Birchwood", "--school", "Oakfield", "--network", "ks2=10.0.0.1/8"],
        ["--authority", "Birchwood", "--school", "Oakfield", "--network", "ks2=everywhere"],
        ["--authority", "Birchwood", "--school", "Oakfield", "--network", "ks2=10.0.0.0/8", "--network", "ks1=10.0.0.0/8"],
    ],
)
def test_init_with_wrong_words_leaves_nothing_behind(run, words, tmp_path):
    code, out, errors = run("init", *words, "--data", tmp_path / "data")
    assert (code, out, len(errors)) == (2, "", 1)
    assert files(tmp_path) == []


def test_init_tells_the_codes_and_a_second_one_is_refused_and_writes_nothing(run, tmp_path):
    data = tmp_path / "data"
    code, out, errors = run(*INIT, "--data", data)
    assert (code, errors) == (0, [])
    assert sum(line.startswith("  ") and line[6] == "-" for line in out.splitlines()) == 3, "officer, head, officer as second"
    assert "https://localhost:8443/enrol" in out
    before = {path: (data / path).stat().st_mtime_ns for path in files(data)}
    code, out, errors = run(*INIT, "--data", data)
    assert (code, out, len(errors)) == (1, "", 1)
    assert "installation already" in errors[0]
    assert {path: (data / path).stat().st_mtime_ns for path in files(data)} == before
    code, out, errors = run("changes", "verify", "--data", data)
    assert (code, errors) == (0, [])


def test_a_further_school(run, installation):
    data, _ = installation
    code, out, _ = run("add-school", "--school", "Hillview Academy", "--phase", "secondary", "--data", data)
    assert code == 0
    assert "headteacher of Hillview Academy" in out
    assert "hillview-academy" in Live(data).snapshot.schools
    code, _, errors = run("add-school", "--school", "Hillview Academy", "--data", data)
    assert (code, len(errors)) == (1, 1)


def test_a_code_for_first_people(run, installation):
    data, _ = installation
    code, out, _ = run("code", "--school", "oakfield-primary", "--data", data)
    assert code == 0
    assert "headteacher of oakfield-primary" in out
    code, _, errors = run("code", "--school", "nowhere", "--data", data)
    assert (code, errors) == (1, ["schoolgate: there is no school or authority 'nowhere'"])
    code, _, errors = run("code", "--school", "oakfield-primary", "--role", "caretaker", "--data", data)
    assert (code, len(errors)) == (1, 1)


# --- explain --------------------------------------------------------------------------------------------------------------


def test_explain_says_it_in_words_and_as_json(run, begun):
    code, out, errors = run("explain", "poki.com", "https://en.wikipedia.org/wiki/Oak", *OAKFIELD, "--data", begun)
    assert (code, errors) == (0, [])
    first, second = out.splitlines()
    assert first == (
        "Years 3-6 at Oakfield Primary may not open poki.com. It is in the category Games, and this is what is usual at this age."
    )
    assert "may open" in second
    code, out, _ = run("explain", "poki.com", *OAKFIELD, "--json", "--data", begun)
    told = json.loads(out)
    assert list(told) == ["asked", "action", "handling", "until", "category", "reason", "rule", "list", "change", "sentence"]
    assert (told["asked"], told["action"], told["handling"], told["category"], told["reason"]) == (
        "poki.com",
        "block",
        "inspect",
        "games",
        "phase_default",
    )
    assert told["list"].startswith("starter-games@")
    assert (told["until"], told["rule"], told["change"], told["sentence"]) == (None, None, None, first)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--school", "nowhere", "--group", "ks2"], "no school 'nowhere'; there are: oakfield-primary"),
        (["--school", "oakfield-primary", "--group", "ks9"], "no group 'ks9'; it has: early-years, guest, ks1, ks2, staff"),
        ([*OAKFIELD, "--at", "lunchtime"], "--at 'lunchtime' is not a moment"),
        ([*OAKFIELD, "--at", "0001-01-01T00:00:00Z"], "too far away"),
        ([*OAKFIELD, "--at", "9999-12-31T23:59:59Z"], "too far away"),
    ],
)
def test_explain_for_whom_or_when_there_is_not(run, begun, words, said):
    code, out, errors = run("explain", "poki.com", *words, "--data", begun)
    assert (code, out, len(errors)) == (2, "", 1)
    assert said in errors[0]


def test_explain_at_a_moment(run, begun):
    for at in ("2026-11-24T11:05:00Z", "2026-11-24T11:05:00", "2026-11-24", "2026-07-01T12:00+01:00"):
        assert run("explain", "poki.com", *OAKFIELD, "--at", at, "--data", begun)[0] == 0


def test_what_cannot_be_a_site_is_refused_in_a_sentence(run, begun):
    code, out, errors = run("explain", "--data", begun, *OAKFIELD, "--json", "", "not a site", "gopher://x")
    assert (code, errors) == (0, [])
    for line in out.splitlines():
        told = json.loads(line)
        assert (told["action"], told["reason"]) == ("block", "error")
        assert told["sentence"].startswith("This cannot be a site, so it is refused. ")
        assert not told["sentence"].endswith("..")


def test_explain_a_file(run, begun, tmp_path):
    batch = tmp_path / "names.txt"
    batch.write_bytes(b'poki.com\n\n  bbc.co.uk  \r\n\xff\xfe\nhttps://poki.com/a"b\n')
    code, out, errors = run("explain", "--batch", batch, *OAKFIELD, "--data", begun)
    assert (code, errors) == (0, [])
    assert [json.loads(line)["asked"] for line in out.splitlines()] == ["poki.com", "bbc.co.uk", "��", 'https://poki.com/a"b']
    code, out, errors = run("explain", "--batch", tmp_path / "missing.txt", *OAKFIELD, "--data", begun)
    assert (code, out, errors) == (1, "", [f"schoolgate: {tmp_path}/missing.txt: No such file or directory"])


def process(*words, data, stdin=b"", **more):
    command = [SCHOOLGATE, *words, "--data", str(data)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SCHOOLGATE_")}
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False, env=environ | more)


def test_explain_reads_standard_input_whatever_its_bytes(begun):
    done = process("explain", "--batch", "-", *OAKFIELD, data=begun, stdin=b"poki.com\n\xff\nbbc.co.uk\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [json.loads(line)["asked"] for line in done.stdout.decode().splitlines()] == ["poki.com", "�", "bbc.co.uk"]


def test_a_name_that_the_terminal_cannot_show_is_no_reason_to_stop(begun):
    done = process(
        "explain",
        "\udcff.example",
        "école.example",
        *OAKFIELD,
        "--json",
        data=begun,
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
        PYTHONIOENCODING="ascii",
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 2


def test_a_reader_that_has_seen_enough_is_no_error(begun, tmp_path):
    batch = tmp_path / "names.txt"
    batch.write_text("poki.com\n" * 20_000)
    command = [SCHOOLGATE, "explain", "--batch", str(batch), *OAKFIELD, "--data", str(begun)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert json.loads(running.stdout.readline())["action"] == "block"
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(timeout=60) == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.text() | st.from_regex(r"(https?://)?[a-z0-9.]{1,10}(/[ -~]{0,10})?"))
def test_every_answer_is_one_line_of_json_with_what_was_asked(teller, asked):
    line = teller.line(asked)
    assert "\n" not in line
    told = json.loads(line)
    assert told["asked"] == asked
    assert told["sentence"].endswith(".")


@pytest.fixture(scope="module")
def teller(begun):
    return Teller(Live(begun).snapshot, "oakfield-primary", "ks2", datetime(2026, 11, 24, 11, 5, tzinfo=UTC))


# --- lists ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words", "code", "said"),
    [
        (None, ["--category", "gambling"], 1, "cannot be read: No such file"),
        (b"", ["--category", "gambling"], 1, "no entry that could be taken"),
        (b"# only\n# comments\n", ["--category", "gambling"], 1, "no entry that could be taken"),
        (b"\x28\xb5\x2f\xfd", ["--category", "gambling"], 1, "damaged"),
        (b"\x1f\x8b\x08broken", ["--category", "gambling"], 1, "damaged"),
        (b"co.uk\n", ["--category", "gambling"], 1, "no entry that could be taken"),
        (b"bets.example\n", ["--category", "nonsense"], 2, "no category 'nonsense'"),
        (b"bets.example\n", ["--category", "csam_illegal"], 1, "licensed, sealed bundle"),
        (b"bets.example\n", ["--category", "gambling", "--id", "../up"], 1, "list's name"),
        (b"bets.example\n", ["--category", "gambling", "--id", "Mine"], 1, "list's name"),
    ],
)
def test_a_list_that_cannot_be_taken(run, installation, tmp_path, content, words, code, said):
    data, _ = installation
    source = tmp_path / "source.txt"
    if content is not None:
        source.write_bytes(content)
    before = files(data / "lists")
    found, out, errors = run("lists", "import", source, "--format", "domains", *words, "--data", data)
    assert (found, out, len(errors)) == (code, "", 1)
    assert said in errors[0]
    assert files(data / "lists") == before


def test_a_list_waits_for_the_head_where_there_is_no_mandate(run, installation, tmp_path):
    data, _ = installation
    source = tmp_path / "source.txt"
    source.write_text("bets.invalid.example\nnot a name\n")
    code, out, errors = run(
        "lists", "import", source, "--format", "domains", "--category", "gambling", "--id", "mine", "--data", data
    )
    assert (code, errors) == (0, [])
    assert "mine: 1 entries taken, 1 line refused" in out
    assert "  line 2: " in out
    assert out.count("waits for approval (no standing mandate covers it)") == 2
    assert run("lists", "lookup", "bets.invalid.example", "--data", data)[0] == 1
    assert run("changes", "verify", "--data", data)[0] == 0


def test_the_head_is_asked_whether_a_list_of_papers_shall_vouch(run, installation, tmp_path):
    data, _ = installation
    source = tmp_path / "papers.txt"
    source.write_text("paper.invalid.example\n")
    words = ("lists", "import", source, "--format", "domains", "--data", data, "--category", "news", "--id", "papers")
    _, out, _ = run(*words, "--no-vouching")
    assert out.startswith("papers: 1 entries taken")
    assert "vouch" not in out
    _, out, _ = run(*words)
    assert out.count("waits for approval (lists of News that vouch also open sites") == 2
    assert run(*words[:-3], "gambling", "--id", "corrections-oakfield-games")[0] == 2
    code, _, errors = run(*words[:-3], "gambling", "--id", "vouching-bets")
    assert (code, "given by the product" in errors[0]) == (2, True)


def test_importing_a_list_twice_is_no_error_and_tells_every_log(run, installation):
    data, _ = installation
    source = data / "lists" / "starter-gambling"
    (source,) = source.glob("*.txt")
    words = (
        "lists",
        "import",
        source,
        "--format",
        "domains",
        "--category",
        "gambling",
        "--id",
        "bets",
        "--data",
        data,
    )
    first = run(*words)
    assert first[0] == 0
    again = run(*words)
    assert again[0] == 0
    assert [line for line in again[1].splitlines() if "Oakfield" in line], "every log is told"


def test_what_is_known_of_a_name(run, begun):
    code, out, _ = run("lists", "lookup", "www.poki.com", "--data", begun)
    assert (code, "Games, says starter-games" in out) == (0, True)
    code, out, _ = run("lists", "lookup", "www.poki.com", "--school", "oakfield-primary", "--json", "--data", begun)
    (match,) = json.loads(out)["matches"]
    assert (code, match["category"], match["entry"]) == (0, "games", "poki.com")
    code, out, _ = run("lists", "lookup", "nobody.invalid.example", "--data", begun)
    assert (code, out) == (1, "nobody.invalid.example: no list knows it\n")
    code, _, errors = run("lists", "lookup", "not a name", "--data", begun)
    assert (code, len(errors)) == (1, 1)
    for words in (["lookup", "poki.com"], ["status"]):
        code, _, errors = run("lists", *words, "--school", "nowhere", "--data", begun)
        assert (code, len(errors)) == (2, 1)


def test_the_lists_in_force(run, begun):
    code, out, _ = run("lists", "status", "--json", "--data", begun)
    found = json.loads(out)
    assert code == 0
    assert {"starter-games", "starter-gambling"} <= {one["id"] for one in found}
    lines = run("lists", "status", "--data", begun)[1].splitlines()
    assert lines[-1] == "illegal content: no licensed list is installed, so this is not yet appropriate filtering"
    assert len(lines) == len(found) + 2


# --- changes --------------------------------------------------------------------------------------------------------------


def test_an_export_is_verified_elsewhere(run, installation, tmp_path):
    data, _ = installation
    export = tmp_path / "export.json"
    code, out, _ = run("changes", "export", export, "--data", data)
    assert code == 0
    assert str(export) in out
    code, out, errors = run("changes", "verify", export, "--data", tmp_path / "nowhere")
    assert (code, errors) == (0, [])
    assert "oakfield-primary: its 1 entry agrees" in out
    text = export.read_text()
    for damaged in (text.replace("Oakfield", "Oakwood"), text[:-100], "", "{}", "[]", '{"logs": []}', "\x00", "[" * 100_000):
        export.write_text(damaged)
        code, out, errors = run("changes", "verify", export)
        assert (code, out, len(errors)) == (1, "", 1), damaged[:40]
        assert "does not agree" in errors[0]
    export.write_bytes(b"\xff\xfe")
    assert run("changes", "verify", export)[0] == 1


def test_an_export_of_nothing_and_of_other_types_does_not_agree(run, installation, tmp_path):
    data, _ = installation
    export = tmp_path / "export.json"
    run("changes", "export", export, "--data", data)
    good = json.loads(export.read_text())
    for change in (
        {"logs": []},
        {"public": 7},
        {"public": ""},
        {"authority": None},
        {"policies": [{"log": "x", "n": -1, "text": ""}]},
    ):
        export.write_text(json.dumps(good | change))
        code, out, errors = run("changes", "verify", export)
        assert (code, out, len(errors)) == (1, "", 1), change
    for key in good["logs"][0]:
        for other in (None, 7, [], {}, "", [None], [7], ["{}"]):
            if good["logs"][0][key] == other or key == "leaves":
                continue
            export.write_text(json.dumps(good | {"logs": [good["logs"][0] | {key: other}, *good["logs"][1:]]}))
            code, out, errors = run("changes", "verify", export)
            assert (code, out, len(errors)) == (1, "", 1), (key, other)


def test_an_edited_row_is_named(run, installation):
    data, _ = installation
    with closing(sqlite3.connect(data / "desk.sqlite3")) as database, database:
        database.execute("UPDATE entries SET text = replace(text, 'Oakfield', 'Oakwood')")
    code, out, errors = run("changes", "verify", "--data", data)
    assert (code, out, len(errors)) == (1, "", 1)
    assert "oakfield-primary: entry 0 is not what was signed" in errors[0]
