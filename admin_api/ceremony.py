"""Signing something beforehand: a mandate, a delegation, an invitation; or ending one. It is the ceremony of an approval.

What was typed becomes *terms*. They are shown as a sentence, and sealed into the page that shows them, so that what comes
back with the signature is what was shown. A passkey is asked for the digest of exactly these terms; without one, a code opens
the person's own key, which signs the same. A draft is signed once, and within ten minutes.
"""

import hashlib
import json
from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.forms import Filled
from admin_api.routes.sign_in import Wait
from admin_api.telling import Ground, invitation_sentence, names, standing_sentence
from change_control import keys, standing
from change_control.keys import Signs
from change_control.lifecycle import State
from change_control.passkeys import url64
from change_control.people import WrongCredentials
from change_control.standing import Sign, Terms
from change_control.tables import ChangeRow
from policy.proof import canonical, challenge, digest

type Doing = Callable[[Session, Sign], object]
LIVES = timedelta(minutes=10)
TOO_OLD = "this page is too old; begin again"


@dataclass(frozen=True, slots=True)
class Given:
    """What a visitor signs with: the code of her phone, or her passkey's answer."""

    code: str = ""
    answer: str = ""

    @classmethod
    def of(cls, form: Filled) -> "Given":
        return cls(form.text("code"), form.text("answer", 8000))

    def signer(self, desk: Desk, session: Session, log: str, purpose: str) -> Signs:
        """The key to sign with; WrongCredentials when what was given does not open it."""
        who = desk.visitor
        if self.answer:
            return desk.services.passkeys.signer(session, who.person, log, self.answer)
        desk.registry.check_code(session, who.person.id, self.code, purpose)
        return desk.registry.signer(session, who.cookie, log)


@dataclass(frozen=True, slots=True)
class Draft:
    """What is about to be signed: the act, the terms, and the invited person's name, which no log holds."""

    act: str
    terms: Terms
    name: str = ""

    def seal(self, desk: Desk) -> str:
        """As text that only this desk can have made, for this person at this school."""
        until = int((desk.office.now() + LIVES).timestamp())
        who = {"person": desk.visitor.person.id, "log": desk.place.log, "until": until}
        text = json.dumps({"act": self.act, "terms": self.terms, "name": self.name, **who})
        return keys.wrap(text.encode(), desk.registry.desk_secret, b"draft")

    @classmethod
    def unseal(cls, desk: Desk, text: str, acts: Container[str]) -> "Draft":
        """WrongCredentials unless this desk sealed it for this visitor a moment ago, for one of these acts."""
        try:
            found = json.loads(keys.unwrap(text, desk.registry.desk_secret, b"draft"))
        except ValueError:
            raise WrongCredentials(TOO_OLD) from None
        mine = (found["person"], found["log"]) == (desk.visitor.person.id, desk.place.log)
        if not mine or found["act"] not in acts or found["until"] < desk.office.now().timestamp():
            raise WrongCredentials(TOO_OLD)
        return cls(found["act"], found["terms"], found["name"])


def known(desk: Desk, session: Session) -> list[str]:
    """The passkeys with which the visitor can sign at this school."""
    return desk.services.passkeys.usable(session, desk.visitor.person.id, desk.place.log)


def ask(desk: Desk, credentials: list[str], act: str, terms: Terms) -> str:
    """What her passkey is asked to sign; "" when she has none here."""
    if not credentials:
        return ""
    wanted = challenge(act, desk.place.log, digest(canonical(terms)))
    return json.dumps({"challenge": url64(wanted), "rp": desk.services.passkeys.where.rp_id, "known": credentials})


def signed[T](desk: Desk, given: Given, act: str, do: Callable[[Session, Sign], T]) -> T:
    """Something that the visitor signs beforehand: what she signs with checked, done and noted. Also the API's."""
    who, log = desk.visitor, desk.place.log
    if seconds := desk.services.attempts.seconds(who.address, f"code of {who.person.id}"):
        raise Wait(seconds)
    try:
        with desk.write() as session:
            signer = given.signer(desk, session, log, act)
            if given.answer:  # an answer signs once: what has ended since does not come back by it
                desk.registry.once(session, who.person.id, f"answer {hashlib.sha256(given.answer.encode()).hexdigest()[:40]}")
            done = do(session, lambda terms: signer.sign(act, log, terms))
    except WrongCredentials:
        desk.services.attempts.failed(who.address, f"code of {who.person.id}")
        raise
    desk.note(act, "done")
    return done


def page(desk: Desk, draft: Draft, to: str, *, error: str = "", status: int = 200) -> Response:
    """The terms as a sentence, to be read once more and signed."""
    with desk.read() as session:
        wanted = ask(desk, known(desk, session), draft.act, draft.terms)
        who = names(session, {str(draft.terms["person"])} if "person" in draft.terms else set())
    document = Ground.of(desk.services.snapshot(), desk.place.log).document
    _, kind, name = standing.SIGNED_BEFOREHAND[draft.act]
    entry = {"kind": kind, name: draft.terms}
    return desk.page(
        "sign.html",
        status,
        sentence=invitation_sentence(draft.name, draft.terms)
        if draft.act == "invite"
        else standing_sentence(entry, who, document),
        draft=draft.seal(desk),
        passkey=wanted,
        fingerprint=words.fingerprint(digest(canonical(draft.terms))),
        terms=draft.terms,
        to=to,
        back=to.rsplit("/", 1)[0],
        error=error,
    )


def passkey_asks(desk: Desk, session: Session, row: ChangeRow) -> dict[str, str]:
    """For each act that is signed, what the visitor's passkey would be asked; empty when she has none here."""
    known = desk.services.passkeys.usable(session, desk.visitor.person.id, row.log)
    if not known:
        return {}
    forth = digest(row.diff)
    by_herself = row.state == State.PROVISIONAL or not json.loads(row.diff)["set"]  # else it takes a request (open_acts)
    back = digest(canonical(desk.office.taken_back(session, row))) if by_herself else forth
    signs = {"approve": forth, "ratify": forth, "break-glass": forth, "reverse": back}
    named = {"break-glass": "enforce"}
    rp = desk.services.passkeys.where.rp_id
    return {
        act: json.dumps({"challenge": url64(challenge(named.get(act, act), row.log, over)), "rp": rp, "known": known})
        for act, over in signs.items()
    }
