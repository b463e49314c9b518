"""The beginning of an installation."""

import pytest

from appliance.founding import (
    GROUP_NAMES,
    USUAL_GROUPS,
    begun,
    create_installation,
    found_school,
    groups,
    identifier,
    open_installation,
)
from category_lists.taxonomy import PHASES
from change_control.verify import verify_installation
from policy.live import Live
from policy.rules import Action, AuthorityPolicy, Network, read


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Oakfield Primary", "oakfield-primary"),
        ("  St. Mary's C of E  ", "st-mary-s-c-of-e"),
        ("Ysgol Gymraeg Llŷn", "ysgol-gymraeg-ll-n"),
        ("A" * 100, "a" * 60),
        ("4", "4"),
    ],
)
def test_a_short_name(name, short):
    assert identifier(name) == short


@pytest.mark.parametrize("name", ["", "   ", "!!!", "학교"])
def test_a_name_without_letters_has_none(name):
    with pytest.raises(ValueError, match="no letters"):
        identifier(name)


def test_every_phase_has_its_group():
    assert set(GROUP_NAMES) == set(PHASES)
    assert USUAL_GROUPS["all-through"] == PHASES
    made = {group.id: group for group in groups(PHASES)}
    assert [group.id for group in groups(PHASES)] == sorted(PHASES)
    assert {name for name, group in made.items() if not group.safe_search} == {"staff"}
    assert made["ks2"].name == "Years 3-6"
    with pytest.raises(ValueError, match="there is no phase ks9"):
        groups(["ks1", "ks9"])


def test_nothing_is_opened_where_nothing_was_founded(tmp_path):
    with pytest.raises(FileNotFoundError, match="schoolgate init"):
        open_installation(tmp_path, f"sqlite:///{tmp_path}/desk.sqlite3")
    assert list(tmp_path.iterdir()) == []


def test_an_installation_that_is_begun_and_not_yet_filled(tmp_path):
    database = f"sqlite:///{tmp_path / 'data'}/desk.sqlite3"
    founded = create_installation(tmp_path / "data", database, "birchwood")
    with founded.store.read() as session:
        assert not begun(session)
    founded.store.close()
    with pytest.raises(FileExistsError):
        create_installation(tmp_path / "data", database, "birchwood")
    again = open_installation(tmp_path / "data", database)
    assert (again.office.key, again.registry.desk_secret) == (founded.office.key, founded.registry.desk_secret)
    again.store.close()


def test_an_authority_begins_with_its_mandatory_rules_and_a_school_with_what_is_usual(installation):
    data, database = installation
    snapshot = Live(data).snapshot
    taxonomy = snapshot.profile("oakfield-primary", "ks2").dictionary.taxonomy
    mandatory = {category.id for category in taxonomy.categories.values() if category.mandatory}
    assert mandatory == {rule.category for rule in snapshot.authority.category_rules}
    assert all(rule.action is Action.BLOCK and rule.mandatory for rule in snapshot.authority.category_rules)
    school = snapshot.schools["oakfield-primary"]
    assert tuple(sorted(USUAL_GROUPS["primary"])) == tuple(group.id for group in school.groups)
    assert (school.site_rules, school.category_rules) == ((), ())
    founded = open_installation(data, database)
    with founded.store.read() as session:
        assert begun(session)
        assert {one.log for one in verify_installation(session, data)} == {"birchwood-council", "oakfield-primary"}
    founded.store.close()


def test_a_further_school_has_a_name_of_its_own_and_its_authoritys_rules_as_they_stand(installation):
    data, database = installation
    founded = open_installation(data, database)
    with founded.store.read() as session:
        authority = read(AuthorityPolicy, founded.office.book(session, "birchwood-council").in_force().text)

    def found(authority, school):
        with founded.store.write() as session:
            networks = [Network("n-2", "ks4", "10.2.0.0/16"), Network("n-1", "ks3", "10.1.0.0/16")]
            return found_school(
                founded, session, authority, school=school, name="Hillview", phases=("ks3", "ks4"), networks=networks
            )

    with pytest.raises(ValueError, match="here already"):
        found(authority, "oakfield-primary")
    with pytest.raises(ValueError, match="as they stand"):
        found(AuthorityPolicy("birchwood-council", "Another", authority.dictionary), "hillview")
    assert [network.id for network in found(authority, "hillview").networks] == ["n-1", "n-2"]
    founded.publish()
    founded.store.close()
    assert set(Live(data).snapshot.schools) == {"oakfield-primary", "hillview"}
