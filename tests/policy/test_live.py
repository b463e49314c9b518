"""The policy in force in a worker: what is taken, what is refused, and what stays when something is broken."""

import json
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from category_lists.index import compile_index
from category_lists.lists import store
from category_lists.taxonomy import load
from change_control.keys import b64, public_of
from policy.live import Live, Objects, PolicyMissing, Trust, write_aside
from policy.proof import ProofRefused, canonical, digest
from policy.rules import Action, AuthorityPolicy, Dictionary, Group, SchoolPolicy, SiteRule, read, write
from policy.search_engines import load as load_engines

from .conftest import HELEN, KEY, Log

WORDS = """
theme: drugs_alcohol_tobacco
language: en
hard: badger
"""


@dataclass
class Published:
    """An authority with one school, published into a folder by hand."""

    data: Path
    logs: dict[str, Log] = field(default_factory=dict)
    documents: dict[str, object] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    generation: int = 0

    def put(self, name, document):
        """Put a document in force in its log and publish it."""
        log, text = self.logs.setdefault(name, Log(name)), write(document)
        tier = "authority" if document.kind == "authority" else "school"
        entry = {"log": name, "tier": tier, "n": len(log.entries), "policy": {"digest": digest(text)}}
        if not log.entries:
            log.add(entry | {"rests_on": {"founding": True}})
            log.add(
                entry
                | {
                    "n": 1,
                    "kind": "person.enrolled",
                    "person": "p-helen",
                    "roles": ["headteacher", "la_officer"],
                    "key": b64(public_of(HELEN.private)),
                }
            )
            numbers = [0]
        else:
            diff = {"kind": "site"}
            log.add(
                entry
                | {"kind": "change.approved", "diff": diff, "rests_on": {"signatures": [HELEN.sign("approve", name, diff)]}}
            )
            numbers = [entry["n"], 1]
        self.documents[name] = document
        self.file(name, f"{name}-{len(log.entries)}.json", log.part(text, *numbers))

    def file(self, name, file, part):
        (self.data / "policy").mkdir(parents=True, exist_ok=True)
        (self.data / "policy" / file).write_text(part if isinstance(part, str) else json.dumps(part))
        self.parts[name] = file
        self.current()

    def current(self):
        self.generation += 1
        current = {"generation": self.generation, "parts": self.parts}
        write_aside(self.data / "policy" / "current.json", json.dumps(current).encode())

    def rule(self, host):
        """The school's next policy: with one more rule."""
        school = self.documents["oakfield"]
        rules = (*school.site_rules, SiteRule(f"s{len(school.site_rules)}", host, Action.BLOCK, 1))
        self.put("oakfield", replace(school, site_rules=rules))


@pytest.fixture
def published(tmp_path) -> Published:
    objects = Objects(tmp_path)
    source = tmp_path / "games.txt"
    source.write_text("games.example\n")
    version, _ = store(
        tmp_path / "lists", source, list_id="games", category="games", format="domains", at=datetime(2026, 11, 20, tzinfo=UTC)
    )
    aside = tmp_path / "aside.idx"
    index = compile_index([(version, tmp_path / "lists" / "games" / f"{version.digest}.txt")], aside)
    objects.folder.mkdir()
    aside.rename(objects.path(index, "idx"))
    texts = [objects.put(text) for text in (load().to_json(), load_engines().to_json(), json.dumps({"en.yaml": WORDS}))]
    dictionary = objects.put(write(Dictionary(index, texts[0], texts[1], phrases=texts[2])))
    authority = AuthorityPolicy("birchwood", "Birchwood", dictionary)
    write_aside(
        tmp_path / "trust" / "authority.json", json.dumps({"authority": "birchwood", "public": b64(KEY.public)}).encode()
    )
    made = Published(tmp_path)
    made.put("birchwood", authority)
    groups = (Group("ks2", "Years 3-6", "ks2"),)
    made.put("oakfield", SchoolPolicy("oakfield", "Oakfield", objects.put(write(authority)), dictionary, groups))
    return made


def hosts(live):
    return [rule.host for rule in live.snapshot.schools["oakfield"].site_rules]


def test_what_is_published_is_in_force_and_is_swapped_whole(published):
    live = Live(published.data, "dns-1")
    first = live.snapshot
    assert (first.generation, first.revisions, hosts(live), live.problems) == (2, {"birchwood": 0, "oakfield": 0}, [], {})
    assert [match.category for match in first.profile("oakfield", "ks2").dictionary.index.find("www.games.example")] == [
        "games"
    ]
    assert not live.refresh(), "nothing new"
    published.rule("x.example")
    assert live.refresh()
    assert hosts(live) == ["x.example"]
    assert first.schools["oakfield"].site_rules == (), "a snapshot never changes"
    assert live.snapshot.revisions["oakfield"] == 2
    state = json.loads((published.data / "run" / "workers" / "dns-1.json").read_text())
    assert state == {"pid": os.getpid(), "generation": 3, "revisions": {"birchwood": 0, "oakfield": 2}, "problems": {}}


def test_a_new_snapshot_is_shown_before_it_is_in_force(published):
    live = Live(published.data, "dns-1")
    first, shown = live.snapshot, []
    published.rule("x.example")
    assert live.refresh(lambda coming: shown.append((coming, live.snapshot, _state(published))))
    assert [(coming, before) for coming, before, _ in shown] == [(live.snapshot, first)]
    assert shown[0][2]["generation"] == 2, "nobody is told that it is in force"
    assert _state(published)["generation"] == 3
    assert not live.refresh(shown.append), "nothing new"
    assert len(shown) == 1


def _state(published):
    return json.loads((published.data / "run" / "workers" / "dns-1.json").read_text())


def test_which_schools_a_new_snapshot_says_the_same_of(published):
    live = Live(published.data)
    first = live.snapshot
    published.rule("x.example")
    live.refresh()
    second = live.snapshot
    assert [second.says_the_same(first, each) for each in ("", "oakfield", "nobody")] == [True, False, False]
    (opened,) = second.dictionaries.values()
    (held,) = second.authorities.values()
    for changed in (
        replace(second, authority=replace(second.authority, name="Another")),
        replace(second, revisions={**second.revisions, "oakfield": 9}),
        replace(second, authorities=dict.fromkeys(second.authorities, replace(held, name="Another"))),
        replace(second, dictionaries={opened.digest: replace(opened)}),
    ):
        assert not changed.says_the_same(second, "oakfield")
    assert replace(second, generation=9).says_the_same(second, "oakfield")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{}",
        "[]",
        '{"authority": "birchwood"}',
        '{"authority": "b", "public": "***"}',
        '{"authority": "b", "public": 7}',
    ],
)
def test_without_trust_nothing_is_filtered(published, text):
    trust = published.data / "trust" / "authority.json"
    trust.unlink()
    if text is not None:
        trust.write_text(text)
    with pytest.raises(PolicyMissing, match="schoolgate init"):
        Live(published.data)


def test_with_another_authoritys_trust_nothing_is_filtered(published):
    trust = {"authority": "birchwood", "public": b64(public_of(HELEN.private))}
    (published.data / "trust" / "authority.json").write_text(json.dumps(trust))
    with pytest.raises(PolicyMissing, match="good signature"):
        Live(published.data)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        "{}",
        '{"generation": 1, "parts": []}',
        '{"generation": "x", "parts": {}}',
        '{"generation": 1, "parts": {}}',
        "[" * 100_000,
    ],
)
def test_nothing_published_is_no_policy_but_a_worker_that_had_one_keeps_it(published, text):
    live = Live(published.data)
    current = published.data / "policy" / "current.json"
    current.unlink()
    if text is not None:
        write_aside(current, text.encode())
    assert live.refresh() in {True, False}
    assert live.problems
    assert "oakfield" in live.snapshot.schools
    assert "oakfield" in Live(published.data).snapshot.schools, "after a restart too"
    for path in (published.data / "state" / "last-good").iterdir():
        path.unlink()
    with pytest.raises(PolicyMissing):
        Live(published.data)


DAMAGE = ["", "{", "null", "[]", "[" * 100_000, '{"document": 1, "proof": 2}', "\x00"]


@pytest.mark.parametrize("text", [None, *DAMAGE])
def test_a_part_that_is_missing_or_damaged_keeps_that_logs_last_good_one(published, text):
    live = Live(published.data)
    published.rule("x.example")
    path = published.data / "policy" / published.parts["oakfield"]
    good = path.read_text()
    path.unlink()
    if text is not None:
        path.write_text(text)
    live.refresh()
    assert (hosts(live), list(live.problems)) == ([], ["oakfield"])
    path.write_text(good)
    published.current()
    assert live.refresh()
    assert (hosts(live), live.problems) == (["x.example"], {})


@pytest.mark.parametrize("text", DAMAGE)
def test_a_damaged_last_good_copy_is_no_loss(published, text):
    Live(published.data)
    (published.data / "state" / "last-good" / "oakfield.json").write_text(text)
    assert "oakfield" in Live(published.data).snapshot.schools


def test_a_log_left_out_of_the_published_ones_stays_and_is_named(published):
    live = Live(published.data)
    del published.parts["oakfield"]
    published.current()
    live.refresh()
    assert "oakfield" in live.snapshot.schools
    assert live.problems == {"oakfield": "oakfield: missing from policy/current.json"}


def test_an_older_tree_is_refused(published):
    older = published.parts["oakfield"]
    published.rule("x.example")
    live = Live(published.data)
    published.parts["oakfield"] = older
    published.current()
    live.refresh()
    assert hosts(live) == ["x.example"]
    assert "seen before" in live.problems["oakfield"]
    assert hosts(Live(published.data)) == ["x.example"], "after a restart too"


def test_a_part_under_another_logs_name_is_refused(published):
    live = Live(published.data)
    published.parts["hillview"] = published.parts["oakfield"]
    published.current()
    live.refresh()
    assert "not of hillview" in live.problems["hillview"]
    assert "hillview" not in live.snapshot.schools


@pytest.mark.parametrize("which", ["dictionary", "authority", "taxonomy", "phrases", "index"])
def test_a_damaged_object_keeps_the_old_snapshot_and_is_told_once(published, which):
    told = []
    live = Live(published.data, told=told.append)
    before = live.snapshot
    objects = Objects(published.data)
    named = json.loads(objects.text(published.documents["oakfield"].dictionary))
    school = published.documents["oakfield"]
    old = {
        "dictionary": school.dictionary,
        "authority": school.authority,
        "taxonomy": named["taxonomy"],
        "phrases": named["phrases"],
        "index": named["index"],
    }[which]
    path = objects.path(old, "idx" if which == "index" else "json")
    path.rename(path.with_suffix(".away"))
    live._dictionaries = {}  # as a worker that has not opened it yet
    published.rule("x.example")
    assert not live.refresh()
    assert live.snapshot is before
    assert list(live.problems) == ["objects"]
    published.rule("y.example")
    live.refresh()
    assert len(told) == 1, "told once, though it was met twice"
    path.with_suffix(".away").rename(path)
    published.current()
    assert live.refresh()
    assert (hosts(live), live.problems) == (["x.example", "y.example"], {})


def test_an_edited_object_is_refused_by_a_worker_that_starts(published):
    objects = Objects(published.data)
    named = json.loads(objects.text(published.documents["oakfield"].dictionary))
    path = objects.path(named["index"], "idx")
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(PolicyMissing, match="digest differs"):
        Live(published.data)
    data[-20] ^= 1
    path.write_bytes(data)
    for which, there, instead in (("taxonomy", '"block"', '"allow"'), ("phrases", "badger", "hamster")):
        path = objects.path(named[which])
        text = path.read_text()
        path.write_text(text.replace(there, instead))
        with pytest.raises(PolicyMissing, match="not what its name says"):
            Live(published.data)
        path.write_text(text)


def test_words_are_judged_by_the_phrase_sets_that_were_signed(published):
    snapshot = Live(published.data).snapshot
    [named] = snapshot.dictionaries.values()
    assert named.phrases.score("badger " * 9, "search").themes
    assert not named.phrases.score("hamster " * 9, "search").themes


def test_words_that_nobody_understands_leave_the_old_policy_in_force_where_they_are_needed(published):
    """They are whole and signed: the resolver, which needs none, goes on with the rest; the proxy keeps its last policy."""
    told = []
    proxy, resolver = Live(published.data, told=told.append), Live(published.data)
    objects, school, old = Objects(published.data), published.documents["oakfield"], proxy.snapshot
    words = objects.put(json.dumps({"en.yaml": WORDS, "learned.json": "{}"}))
    damaged = objects.put(write(replace(read(Dictionary, objects.text(school.dictionary)), phrases=words)))
    published.put("oakfield", replace(school, dictionary=damaged))

    def understand(snapshot):
        for one in snapshot.dictionaries.values():
            one.phrases.ready()

    assert resolver.refresh()
    assert (proxy.refresh(understand), proxy.snapshot) == (False, old)
    assert told == ["The learned weights are damaged; write them again."]
    published.put("oakfield", replace(school, name="Oakfield again"))
    assert proxy.refresh(understand)
    assert (proxy.snapshot.schools["oakfield"].name, proxy.problems) == ("Oakfield again", {})


def test_each_of_several_problems_is_told_once(published):
    told = []
    live = Live(published.data, "dns-1", told=told.append)
    published.file("oakfield", "damaged.json", "{")
    published.file("hillview", "missing.json", "{")
    (published.data / "policy" / "missing.json").unlink()
    for _ in range(3):
        published.current()
        live.refresh()
    assert sorted(live.problems) == ["hillview", "oakfield"]
    assert sorted(text.partition(":")[0] for text in told) == ["hillview", "oakfield"]
    state = json.loads((published.data / "run" / "workers" / "dns-1.json").read_text())
    assert sorted(state["problems"]) == ["hillview", "oakfield"]


def test_objects_are_what_their_names_say_and_are_put_right(tmp_path):
    objects = Objects(tmp_path)
    name = objects.put("text")
    assert (objects.text(name), objects.put("text")) == ("text", name)
    objects.path(name).write_text("another")
    with pytest.raises(ProofRefused, match="not what its name says"):
        objects.text(name)
    objects.put("text")
    assert objects.text(name) == "text"
    with pytest.raises(ProofRefused, match="cannot be read"):
        objects.text("0" * 64)


def test_trust_is_read(published):
    assert Trust.load(published.data) == Trust("birchwood", KEY.public)


def test_a_document_of_another_school_in_a_good_proof_is_refused(published):
    live = Live(published.data)
    published.put("hillview", replace(published.documents["oakfield"], name="Hillview"))
    live.refresh()
    assert "the document is of oakfield" in live.problems["hillview"]
    assert canonical(sorted(live.snapshot.schools)) == '["oakfield"]'
