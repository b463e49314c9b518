"""What an upgrade brings is proposed to the headteacher, never just there."""

import json

from category_lists.phrases import shipped
from change_control import list_service
from change_control.changes import sentence
from change_control.dictionaries import Dictionaries
from change_control.lifecycle import State
from change_control.tables import ChangeRow
from change_control.verify import verify_installation
from policy.live import Live
from policy.proof import digest
from policy.rules import Dictionary, read, write


def older(world) -> str:
    """The dictionary as an older version shipped it: one starter list fewer, and no phrase sets."""
    dictionaries: Dictionaries = world.office.dictionaries
    with world.store.read() as session:
        now = read(
            Dictionary, dictionaries.objects.text(world.office.book(session, "oakfield").in_force().document.dictionary)
        )
    versions = [dictionaries._version(ref) for ref in now.lists if ref.id != "starter-games"]
    return dictionaries._compile(versions, None, (now.taxonomy, now.engines, ""))


def propose(world):
    with world.store.write() as session:
        row = list_service.propose_defaults(world.office, session, "oakfield", "9.9")
        return row.id if row else None


def test_nothing_new_is_not_proposed(world):
    assert propose(world) is None


def test_new_defaults_wait_and_are_proposed_once(world):
    from change_control.changes import ListChange, ListsWish

    with world.store.write() as session:  # the school decides with the older one
        wish = ListsWish(older(world), (ListChange("x", "games", "1", "d" * 64, 1),))
        row = world.office.request(session, "oakfield", wish, by=world.who(session, "adam"), reason="as it was")
        helen, signer = world.who(session, "helen"), world.signer(session, "helen")
        world.office.approve(session, row, helen, signer, digest(row.diff))
    change = propose(world)
    assert change is not None
    assert propose(world) == change, "the same proposal, not another"
    with world.store.write() as session:
        row = session.get(ChangeRow, change)
        assert row.state == State.REQUESTED
        document = world.office.book(session, "oakfield").in_force().document
        said = sentence(
            json.loads(row.diff), document, world.office.taxonomy(world.office.book(session, "oakfield").in_force())
        )
        assert "takes over the starter lists, the phrases and examples by which words are judged and the examples" in said
        helen, signer = world.who(session, "helen"), world.signer(session, "helen")
        assert world.office.approve(session, row, helen, signer, digest(row.diff)) is State.IN_FORCE
    assert propose(world) is None
    world.publish()
    snapshot = Live(world.data).snapshot
    now = snapshot.dictionaries[snapshot.schools["oakfield"].dictionary]
    assert now.index.find("poki.com")
    assert now.phrases.ready().digest == shipped().digest
    with world.store.read() as session:
        verify_installation(session, world.data)
    assert write(snapshot.schools["oakfield"])
