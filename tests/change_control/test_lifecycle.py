"""The life of a change: what is not in the table cannot happen."""

from itertools import product

import pytest

from change_control.lifecycle import ENTRY_KINDS, MOVES, POLICY_ACTS, Act, NotPossible, State, after

OPEN = {State.REQUESTED, State.PROVISIONAL, State.IN_FORCE}


@pytest.mark.parametrize(("state", "act"), list(product(State, Act)))
def test_every_pair_is_in_the_table_or_refused(state, act):
    if (state, act) in MOVES:
        assert after(state, act) is MOVES[state, act]
    else:
        with pytest.raises(NotPossible, match=f"is {state.value.replace('_', ' ')}, so one cannot {act.value} it"):
            after(state, act)


@pytest.mark.parametrize(
    ("acts", "end"),
    [
        ((Act.APPROVE,), State.IN_FORCE),
        ((Act.APPROVE, Act.EXPIRE), State.EXPIRED),
        ((Act.APPROVE, Act.REVERSE), State.REVERSED),
        ((Act.REFUSE,), State.REFUSED),
        ((Act.WITHDRAW,), State.WITHDRAWN),
        ((Act.MANDATE,), State.PROVISIONAL),
        ((Act.MANDATE, Act.RATIFY), State.IN_FORCE),
        ((Act.MANDATE, Act.LAPSE), State.LAPSED),
        ((Act.MANDATE, Act.REVERSE), State.REVERSED),
        ((Act.MANDATE, Act.RATIFY, Act.REVERSE), State.REVERSED),
    ],
)
def test_the_lives_that_there_are(acts, end):
    state = State.REQUESTED
    for act in acts:
        state = after(state, act)
    assert state is end
    if end not in OPEN:
        assert not [move for move in MOVES if move[0] is end], "what has ended stays so"


def test_every_act_writes_its_own_entry_and_every_state_can_be_reached():
    assert set(ENTRY_KINDS) == set(Act)
    assert len(set(ENTRY_KINDS.values())) == len(Act)
    assert {State.REQUESTED, *MOVES.values()} == set(State)
    assert {act for _, act in MOVES} == set(Act)


def test_what_puts_another_policy_in_force_is_what_opens_or_closes():
    assert {Act.APPROVE, Act.MANDATE, Act.UPDATE, Act.LAPSE, Act.REVERSE} == POLICY_ACTS
