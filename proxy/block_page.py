"""What people see instead of a page: why, what to do next, and who can help. Words and looks are in templates/.

Each kind of request gets the answer that its reader can use: a page for a page, a short 403 for a script (readable across
sites, so that the page that asked does not hang), an invisible picture for a picture, JSON for JSON.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import jinja2

from policy.decide import PHRASES, Decision, Question, Reason
from policy.snapshot import Snapshot
from policy.words import category_name, why
from proxy import tokens
from proxy.answer import MARK, NEVER_KEPT, Answer, Wanted, cross_origin, grpc, page, plain, preflight
from proxy.languages import Language, chosen, shipped

YOUNG = frozenset({"early-years", "ks1"})
ADULT = frozenset({"staff"})
HELP_FIRST = frozenset({"self_harm_eating_disorders", "vawg_misogyny"})  # a person may need help before a reason
DECIDED_BY = {  # in the words of staff
    Reason.SEALED: "a list that nobody can change",
    Reason.ESSENTIAL: "the list of essential sites",
    Reason.NOT_SIGNED_IN: "the school's rule that people sign in on this network",
    Reason.SUSPENSION: "a suspension of internet access",
    Reason.AUTHORITY_SITE: "the authority's rule about this site",
    Reason.AUTHORITY_CATEGORY: "the authority's rule about this category",
    Reason.SCHOOL_SITE: "the school's rule about this site",
    Reason.SCHOOL_CATEGORY: "the school's rule about this category",
    Reason.DEFAULT_SITE: "what the authority suggests about this site",
    Reason.DEFAULT_CATEGORY: "what the authority suggests about this category",
    Reason.PHASE_DEFAULT: "what is usual for this group",
    Reason.LOOKS_HARMFUL: "the school's rule about sites whose names look harmful",
    Reason.GENERATED: "the school's rule about sites whose names look made up",
    Reason.UNKNOWN_NAME: "what the school does with unknown sites",
    Reason.SAFE_SEARCH: "safe search, which cannot be kept on there",
    Reason.ERROR: "the filter, which could not decide",
}
ASK_PURPOSE = "ask for a site"
LONGEST_PATH = 300  # of the page that someone asks for
EMPTY_PICTURE = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who gets the answer, and how."""

    address: str
    want: Wanted
    origin: str = ""  # the Origin header
    languages: str = ""  # the Accept-Language header
    headers: str = ""  # of a preflight: which headers its page wants to send


class Pages:
    """Every page of ours, rendered."""

    def __init__(self, form_key: bytes, desk_url: str) -> None:
        self._key, self._desk_url = form_key, desk_url
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def block(
        self, snapshot: Snapshot, decision: Decision, asked: Question, asker: Asker, needs: tuple[str, ...] = ()
    ) -> Answer:
        """The refusal of a page, or of what a page pulled in; `needs`: hosts that its pages were refused lately."""
        said = _said(snapshot, decision, asked)
        if asker.want is not Wanted.PAGE:
            return _short(403, said.short, asker)
        name = "block_young.html" if said.phase in YOUNG else "block.html"
        token = self._ask_token(said, asked, asker, needs)
        return page(403, self._render(name, asker, said=said, token=token, needs=needs, desk_url=self._desk_url))

    def warn(self, snapshot: Snapshot, decision: Decision, asked: Question, asker: Asker, onward: str) -> Answer:
        """Think first; `onward` is the address that leads on."""
        said = _said(snapshot, decision, asked)
        if asker.want is not Wanted.PAGE:
            return _short(403, f"Open {asked.host} itself first: it needs a look at a warning.", asker)
        return page(403, self._render("warn.html", asker, said=said, onward=onward))

    def message(self, status: int, title: str, sentence: str, asker: Asker | None = None) -> Answer:
        """A page that says one thing."""
        if asker and asker.want is not Wanted.PAGE:
            return _short(status, sentence, asker)
        return page(status, self._render("message.html", asker, title=title, sentence=sentence))

    def home(self, *, portal: bool = False) -> Answer:
        return page(200, self._render("home.html", None, portal=portal))

    def rendered(self, name: str, asker: Asker, **values: object) -> str:
        """A page of the portal (portal.py), which has headers of its own."""
        return self._render(name, asker, **values)

    def setup(self, systems: Sequence[object], looks: Sequence[tuple[str, str, str]]) -> Answer:
        """How devices are set up: of all systems, or of one."""
        return page(200, self._render("setup.html", None, systems=systems, looks=looks))

    def thanks(self, host: str, reference: str, asker: Asker | None = None) -> Answer:
        return page(200, self._render("thanks.html", asker, host=host, reference=reference, desk_url=self._desk_url))

    def _ask_token(self, said: "Said", asked: Question, asker: Asker, needs: tuple[str, ...]) -> str:
        """What the form sends back to us, so that nobody can ask in another's name or for what they did not meet."""
        if not said.may_ask:
            return ""
        fields = {
            "school": asked.school,
            "group": asked.group,
            "host": asked.host,
            "path": (asked.path or "")[:LONGEST_PATH],
            "address": asker.address,
            "needs": " ".join(needs),
        }
        return tokens.sign(self._key, ASK_PURPOSE, fields, asked.at.timestamp())

    def _render(self, name: str, asker: Asker | None, **values: object) -> str:
        language = chosen(asker.languages if asker else "", shipped())
        if isinstance(said := values.get("said"), Said):
            values["said"] = _in(language, said)
        return self._templates.get_template(name).render(_=language, language=language.code, **values)


@dataclass(frozen=True, slots=True)
class Said:
    """A decision in the words that a page uses."""

    phase: str
    host: str
    headline: str
    short: str
    why: str
    category: str  # "" when there is none, or none may be told
    category_sentence: str
    school: str
    authority: str
    authority_rules: bool  # the head cannot open it alone
    may_ask: bool
    adult: bool
    help_first: bool
    decided_by: str
    rule: str
    change: int
    at: datetime
    reason: str
    what: str  # site, page or search


def _said(snapshot: Snapshot, decision: Decision, asked: Question) -> Said:
    profile = snapshot.profile(asked.school, asked.group)
    sealed = decision.reason is Reason.SEALED  # INVARIANT: nothing about the list that decided, and no way to probe it
    known = None if sealed else profile.dictionary.taxonomy.categories.get(decision.category or "")
    category = category_name(profile, decision.category) if known else ""
    words = decision.list == PHRASES
    search = words and profile.dictionary.engines.find(asked.host) is not None
    what = "search" if search else "page" if words else "site"
    headline = f"This {what} is blocked: {category}." if category else f"This {what} is blocked."
    sentence = "It cannot be opened from school." if sealed else why(snapshot, decision, asked)
    school = snapshot.schools.get(asked.school)
    return Said(
        phase=profile.phase,
        host=asked.host,
        headline=headline,
        short=f"{headline} {sentence}",
        why=sentence,
        category=category,
        category_sentence=known.sentence if known else "",
        school=school.name if school else "",
        authority=snapshot.authority.name,
        authority_rules=decision.reason in {Reason.AUTHORITY_SITE, Reason.AUTHORITY_CATEGORY},
        may_ask=bool(asked.school) and not sealed and not search and profile.phase not in YOUNG,
        adult=profile.phase in ADULT,
        help_first=decision.category in HELP_FIRST,
        decided_by=DECIDED_BY[decision.reason],
        rule=decision.rule or "",
        change=decision.change or 0,
        at=asked.at,
        reason="" if sealed or words else decision.reason,
        what=what,
    )


def _in(language: Language, said: Said) -> Said:
    """The same in another language. Categories keep their English names until the taxonomy has others."""
    headline = (
        language(f"This {said.what} is blocked: {{}}.").format(said.category) if said.category else language(said.headline)
    )
    return replace(said, headline=headline, why=language.why.get(said.reason) or language(said.why))


def _short(status: int, text: str, asker: Asker) -> Answer:
    """For what is no page. `text` is ours: nothing of the request is in it but the canonical host."""
    open_to = cross_origin(asker.origin)
    if asker.want is Wanted.PREFLIGHT:
        return preflight(asker.origin, asker.headers)
    if asker.want is Wanted.GRPC:
        return grpc(text)
    if asker.want is Wanted.IMAGE:
        return Answer(status, (("Content-Type", "image/gif"), NEVER_KEPT, MARK, *open_to), EMPTY_PICTURE)
    if asker.want is Wanted.JSON:
        return plain(status, json.dumps({"blocked": True, "message": text}), "application/json", *open_to)
    return plain(status, text + "\n", "text/plain; charset=utf-8", *open_to)
