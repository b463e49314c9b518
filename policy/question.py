"""What is asked of the policy, and what is answered: the words that DNS, proxy, pages and logs share. Pure data."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from policy.rules import Action, Handling


class Reason(StrEnum):
    """Which step of the precedence decided. A closed vocabulary: logs, pages and reports use these words."""

    SEALED = "sealed"
    ESSENTIAL = "essential"
    NOT_SIGNED_IN = "not_signed_in"  # on this network somebody signs in first
    SUSPENSION = "suspension"
    AUTHORITY_SITE = "authority_site"
    AUTHORITY_CATEGORY = "authority_category"
    SCHOOL_SITE = "school_site"
    SCHOOL_CATEGORY = "school_category"
    DEFAULT_SITE = "default_site"
    DEFAULT_CATEGORY = "default_category"
    PHASE_DEFAULT = "phase_default"
    LOOKS_HARMFUL = "looks_harmful"  # no list knows it, and a rule says what happens to names that look like a category
    GENERATED = "generated"  # no list knows it, and a program seems to have made its name up
    UNKNOWN_NAME = "unknown_name"
    SAFE_SEARCH = "safe_search"  # safe search is wanted, and where DNS alone filters it cannot be forced here
    BLOCKED = "blocked"  # said instead of SEALED to whoever asks about a site (see `Decision.told`)
    ERROR = "error"  # the filter could not decide, and refused


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `host` is canonical; `path` is None where it cannot be seen (DNS, the opening of a tunnel).

    `path_follows` says that the same client cannot fetch anything without a second question that has the path: true at
    the proxy, and for DNS on networks whose web traffic is forced through it.
    """

    school: str
    group: str
    host: str
    at: datetime
    path: str | None = None
    path_follows: bool = True
    person: str | None = None
    query: str = ""  # what follows the question mark: some sites carry another's address in it
    themes: tuple[str, ...] = ()  # categories that the words of this search or page speak of, strongest first
    looks: tuple[str, ...] = ()  # categories that the name and the text of this page look like together


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, and everything that explains it. `until`: the first instant at which time alone may change it."""

    action: Action
    handling: Handling
    reason: Reason
    until: datetime | None = None
    category: str | None = None
    list: str | None = None
    list_version: str | None = None
    rule: str | None = None
    change: int | None = None
    revision: int = 0
    inner: str | None = None  # the site carried inside the one asked for, when that one decided

    def told(self) -> "Decision":
        """What whoever asks about a site is told. Of the sealed list no more than "blocked", so that nobody can read it
        by asking; what was really refused stands in the filter log, which is not for everyone.
        """
        if self.reason is not Reason.SEALED:
            return self
        return Decision(Action.BLOCK, Handling.INSPECT, Reason.BLOCKED, revision=self.revision)


REFUSED_ON_ERROR = Decision(Action.BLOCK, Handling.INSPECT, Reason.ERROR)
