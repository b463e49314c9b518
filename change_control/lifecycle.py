"""The life of a change as a table. What is not in the table cannot happen."""

from enum import StrEnum


class State(StrEnum):
    REQUESTED = "requested"  # waits for the headteacher (or, when it is her own, for the second person too)
    IN_FORCE = "in_force"  # the head signed it
    PROVISIONAL = "provisional"  # in force under a standing mandate, to be ratified by a date
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    REVERSED = "reversed"
    EXPIRED = "expired"  # its own end date came
    LAPSED = "lapsed"  # it was in force under a mandate and nobody ratified it in time


class Act(StrEnum):
    APPROVE = "approve"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    MANDATE = "mandate"
    UPDATE = "update"  # a feed's update, within the bounds of a subscription that the head signed
    RATIFY = "ratify"
    LAPSE = "lapse"
    REVERSE = "reverse"
    EXPIRE = "expire"


MOVES: dict[tuple[State, Act], State] = {
    (State.REQUESTED, Act.APPROVE): State.IN_FORCE,
    (State.REQUESTED, Act.REFUSE): State.REFUSED,
    (State.REQUESTED, Act.WITHDRAW): State.WITHDRAWN,
    (State.REQUESTED, Act.MANDATE): State.PROVISIONAL,
    (State.REQUESTED, Act.UPDATE): State.IN_FORCE,
    (State.PROVISIONAL, Act.RATIFY): State.IN_FORCE,
    (State.PROVISIONAL, Act.LAPSE): State.LAPSED,
    (State.PROVISIONAL, Act.REVERSE): State.REVERSED,
    (State.IN_FORCE, Act.REVERSE): State.REVERSED,
    (State.IN_FORCE, Act.EXPIRE): State.EXPIRED,
}

# What each act writes into the change log; the verifier reads the same table backwards.
ENTRY_KINDS: dict[Act, str] = {
    Act.APPROVE: "change.approved",
    Act.REFUSE: "change.refused",
    Act.WITHDRAW: "change.withdrawn",
    Act.MANDATE: "change.mandated",
    Act.UPDATE: "change.updated",
    Act.RATIFY: "change.ratified",
    Act.LAPSE: "change.lapsed",
    Act.REVERSE: "change.reversed",
    Act.EXPIRE: "change.expired",
}
# Those of them that put another policy in force.
POLICY_ACTS = frozenset({Act.APPROVE, Act.MANDATE, Act.UPDATE, Act.LAPSE, Act.REVERSE})


class NotPossible(ValueError):
    """The change is not in a state in which this can be done."""

    def __init__(self, state: State, act: str) -> None:
        super().__init__(f"this change is {state.replace('_', ' ')}, so one cannot {act} it")


def after(state: State, act: Act) -> State:
    """The state that an act leads to."""
    try:
        return MOVES[state, act]
    except KeyError:
        raise NotPossible(state, act) from None
