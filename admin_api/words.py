"""The desk's words: one word for one thing, dates as the UK writes them. The help page is made from these tables."""

import hashlib
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from policy.words import TIERS, uk_date

__all__ = ["TIERS"]

ZONE = "Europe/London"
STATIC = Path(__file__).with_name("static")

# What a page says after something was done. Links carry the key, never the text.
SAID = {
    "device-described": "Saved. No answer of the filter changes by it.",
    "device-forgotten": "It is out of the register.",
    "devices-taken": "The table is in the register.",
    "devices-asked": "The table is in the register. The groups in it wait here for the headteacher.",
    "signed-out": "You are signed out.",
    "enrolled": "You are enrolled. Sign in to begin.",
    "asked": "Your request is with the headteacher. Its page shows where it stands.",
    "approved": "Approved and signed. It is in the change log.",
    "waits": "Signed. Because the headteacher asked for it herself, it waits for the second person’s agreement.",
    "refused": "Refused. Whoever asked can read your reason on the request’s page.",
    "withdrawn": "The request is withdrawn.",
    "narrowed": "The request is smaller now, as you see it here. Nothing is signed yet.",
    "question": "Your question is on the request’s page. Whoever asked sees it there.",
    "passed-on": "Passed on. The headteacher decides; nothing has opened.",
    "answered": "Your answer stands beside the question.",
    "batch": "All of them are signed and in the change log.",
    "ratified": "Ratified and signed.",
    "reversed": "Taken back. Everything is as it was before.",
    "enforced": "In force at once, under a standing mandate. The headteacher ratifies it, or it goes back by itself.",
    "glass": "Signed. When two people have signed, it is in force for 24 hours.",
    "delegated": "The delegation is signed.",
    "revoked": "It is revoked, and ends now.",
    "passkey-added": "The passkey is added. From now on you can sign in, and sign changes, with it.",
    "passkey-gone": "The passkey is taken away. What it signed stays signed.",
    "helpers": "The two people are named, and it is signed.",
    "agreed": "Signed. When all three have signed, the last one is shown the code.",
    "linked": "The account is linked. You can sign in with it from now on.",
    "unlinked": "The account is linked no more.",
    "session-ended": "That session is over.",
    "recovered": "Your new phone is set up. Sign in with its code.",
    "guest-revoked": "The code is revoked, and whoever signed in with it is signed out.",
    "guest-ended": "That sign-in is ended.",
    "token-gone": "The token is revoked and opens nothing any more.",
    "email": "Saved. The desk writes to you there.",
    "email-gone": "The desk writes to you no more.",
    "released": "That person holds no role here any more.",
    "graded": "Graded. The next ones stand below; “Undo” takes it back.",
    "undone": "Taken back. They wait again.",
    "assigned": "Assigned.",
    "acknowledged": "You have it. Nobody else is told.",
    "opinion-asked": "Your colleague finds it under “Assigned to me”.",
    "opinion": "Your opinion stands beside the grade.",
    "viewing": "It is in the timeline, signed and dated.",
    "planned": "The plan for telling people is kept.",
    "declared": "The lesson is declared. Captures that fit will say so; nothing is hidden.",
    "welfare": "The headteacher is told that you would like to talk, and nothing else.",
    "opened": "The incident is open.",
    "noted": "It stands in the timeline.",
    "closed": "The incident is closed.",
    "signed": "Signed.",
    "kept": "It is kept.",
    "held": "The hold is in place: nothing of it is deleted until it is lifted.",
    "lifted": "The hold is lifted.",
    "deleted": "What was over is deleted. What went stands below.",
    "unmasked": "You see the name for an hour. Your reason is in the access log.",
    "search-saved": "The search is kept.",
    "search-gone": "The search is taken away.",
    "mandated": "The standing mandate is signed and in force.",
}

STATES = {
    "requested": ("Waiting", "waiting"),
    "in_force": ("In force", "good"),
    "provisional": ("In force, to be ratified", "waiting"),
    "refused": ("Refused", "bad"),
    "withdrawn": ("Withdrawn", "quiet"),
    "reversed": ("Taken back", "quiet"),
    "expired": ("Ended", "quiet"),
    "lapsed": ("Lapsed", "quiet"),
}

ACTIONS = {
    "allow": ("Open", "good"),
    "restrict": ("Open, safe search", "good"),
    "warn": ("Warning first", "waiting"),
    "block": ("Blocked", "bad"),
}

ROLES = {
    "headteacher": "Headteacher",
    "deputy": "Deputy headteacher",
    "acting_head": "Acting headteacher",
    "dsl": "Designated safeguarding lead (DSL)",
    "online_safety_coordinator": "Online safety co-ordinator",
    "technician": "Technician",
    "teacher": "Teacher",
    "governor": "Governor",
    "chair_of_governors": "Chair of governors",
    "la_officer": "LA officer",
    "analyst": "Analyst",
}


def role_within(role: str) -> str:
    """A role within a sentence: "the deputy headteacher", but "the LA officer"."""
    name = "DSL" if role == "dsl" else ROLES.get(role, role)
    return name if name[:2].isupper() else name[:1].lower() + name[1:]


PERMISSIONS = {
    "read_devices": "Read the register of devices",
    "devices": "Name devices, and say whose they are",
    "request": "Ask for a change",
    "approve": "Approve a request, with a signature",
    "second": "Agree, as the second person, to the headteacher’s own request",
    "refuse": "Refuse a request",
    "ratify": "Ratify what a standing mandate let through",
    "reverse": "Take back a change that is in force",
    "mandate": "Sign a standing mandate, or revoke one",
    "delegate": "Let a named person approve in the headteacher’s place for a time",
    "delegated": "Approve, refuse and ratify in the headteacher’s place: whom her delegation names",
    "screen": "Look first at what pupils ask for, pass it on or refuse it: whom the headteacher’s delegation names",
    "tighten": "Block at once, where a standing mandate names the role; the headteacher ratifies it or it lapses",
    "break_glass": "Two together, where a mandate names them: open or block at once for 24 hours",
    "invite": "Invite a person and give roles",
    "release": "End a person’s roles",
    "replace_head": "Two together, one the LA officer: replace the headteacher",
    "read_changes": "Read requests, rules, the change log and “Why?”",
    "read_log": "Search the filter log",
    "review": "Look at captures and grade them",
    "decide": "Decide what becomes of an incident",
    "declare": "Say what a lesson will search for",
    "read_reports": "Read reports",
    "compare": "See schools side by side, in counts",
    "retain": "Say how long what is kept, and hold it from deletion",
    "read_access": "Read the access log",
    "read_system": "See how the filter is running",
    "read_guests": "See who has signed in at the portal, and which guest codes there are",
    "guests": "Issue and revoke guest codes, and end a sign-in",
    "tokens": "Make and revoke tokens for scripts",
}

SCOPES = {
    "request": "ask for changes",
    "read-changes": "read requests, rules and the change log",
    "read-status": "read how the filter is running",
}

ENTRIES = {
    "log.founded": "The change log began",
    "person.invited": "A person was invited",
    "person.enrolled": "A person enrolled",
    "person.passkey": "A passkey was added",
    "passkey.revoked": "A passkey was revoked",
    "person.recovered": "A person set up a new phone with a recovery code",
    "person.released": "A person’s roles ended",
    "recovery.named": "A person named two who can help her back in",
    "recovery.agreed": "It was signed that a person needs a new phone",
    "recovery.granted": "Two named people and the LA officer gave a person a recovery code",
    "mandate.signed": "A standing mandate was signed",
    "mandate.revoked": "A standing mandate was revoked",
    "delegation.signed": "A delegation was signed",
    "delegation.revoked": "A delegation was revoked",
    "review.signed": "DSL and co-ordinator signed a review meeting",
    "change.requested": "Requested",
    "change.amended": "Made smaller before it was decided",
    "change.passed_on": "The named teacher passed it on",
    "change.questioned": "A question was asked about it",
    "change.answered": "A question was answered",
    "change.approved": "Approved",
    "change.refused": "Refused",
    "change.withdrawn": "Withdrawn",
    "change.mandated": "Put in force under a standing mandate",
    "change.updated": "Put in force by a subscription, within its bounds",
    "change.ratified": "Ratified",
    "change.lapsed": "Lapsed: nobody ratified it in time",
    "change.reversed": "Taken back",
    "change.expired": "Ended by its date",
    "change.renewed": "Brought up to date: the lists had changed since it was asked for",
}

FACTORS = {
    "password+totp": "password and code",
    "session": "the session alone",
    "passkey": "a passkey",
}

IDENTIFIED = {
    "proxy": "sign-in at the proxy",
    "portal": "sign-in at the portal",
    "radius": "sign-in to the wireless network",
    "lease": "the device’s lease",
    "device": "the registered device",
    "neighbour": "the device’s hardware address",
    "path": "the path its device asks by",
    "network": "the network alone",
    "listener": "the port it came in by",
    "none": "nothing",
    "": "nothing",
}

KINDS = {
    "dns": "Site looked up",
    "connection": "Connection",
    "page": "Page",
    "resource": "Part of a page",
    "search": "Search",
    "request": "Request from a block page",
    "notice": "Notice of the filter",
}

# What a pupil is told of a request, by its reference: where it stands, and never who asked or who decided.
ASKED = {
    "unknown": "There is no request with this reference. Look at the letters once more.",
    "wait": "Too many tries. Please wait a little.",
    "teacher": "Your teacher looks at it first.",
    "requested": "It is with the headteacher.",
    "in_force": "Yes: it has been opened.",
    "provisional": "Yes: it has been opened for now.",
    "refused": "No, it stays as it is.",
    "withdrawn": "It was taken back.",
    "reversed": "It was open, and has been closed again.",
    "expired": "It was open, and that time is over.",
    "lapsed": "It was open for a time, and is closed again.",
}

CHANGE_KINDS = {
    "site": "a site",
    "category": "a category",
    "network": "a network",
    "belonging": "devices or users of a group",
    "passage": "other ports of a network",
    "portal": "a sign-in page on a network",
    "dictionary": "lists",
    "timetable": "hours",
    "group": "a group",
    "safety": "safe search",
    "answer": "how blocked names are answered",
    "unknown": "sites that no list knows",
    "inspection": "what is looked into",
    "tenants": "whose accounts sign in",
    "never_inspect": "a site never looked into",
    "coursework": "the coursework list",
    "video_site": "an approved video site",
    "platform": "a sanctioned social or chat platform",
    "suspension": "a suspension",
    "alert_rules": "what becomes a capture",
    "head": "another headteacher",
    "authority": "the authority’s rules",
    "defaults": "what an upgrade brings",
    "subscription": "a subscription",
    "recategorise": "what a site is",
    "sealed": "the sealed list",
    "reverse": "taking a change back",
    "founding": "the beginning",
}

WAYS = {  # what a gateway saw of a connection: monitoring/coverage.py says what each means
    "content": "Pages seen",
    "name": "Name seen",
    "forwarded": "Not seen",
    "refused": "Refused",
    "unresolved": "Unknown address",
}
ATTEMPTS = {
    "tunnel": "data hidden in names",
    "no web": "something else than the web on the web’s ports",
    "wrong name": "a connection that named another site",
    "tor": "Tor",
    "vpn": "a VPN or proxy site",
    "doh": "another resolver",
    "name inside": "a site inside another",
    "address inside": "an address inside a name",
    "rebinding": "a name that leads inside",
    "dynamic DNS": "a changing name",
    "remote control": "remote control",
    "search": "a search without safe search",
    "transfer": "copying a whole domain",
    "odd name": "an odd name",
    "odd": "what no browser sends",
    "no name": "an address without a name",
    "other class": "an odd question",
}
TRANSPORTS = {"udp": "by UDP", "tcp": "by TCP", "dot": "by TLS", "doh": "by HTTPS"}
REPLIES = {
    "ready": "Kept ready",
    "cache": "An answer remembered",
    "stale": "An answer past its time, since no resolver answered",
    "upstream": "Another resolver, asked just then",
    "ourselves": "The resolver itself: blocked and local names",
    "failure": "Nobody could answer",
}
DROPPED = {
    "malformed": "not DNS",
    "stranger": "from addresses of no school",
    "overloaded": "too many at once",
    "large reply": "large replies, told to come by TCP",
    "client rate": "too many from one address",
    "not proxied": "from a balancer, but not saying for whom",
}
REASONS = {
    "sealed": "Illegal content, which nobody can open",
    "blocked": "Blocked",
    "essential": "An essential site that always stays open",
    "not_signed_in": "Nobody had signed in on the device, as its network asks",
    "suspension": "Internet access is suspended; only coursework sites can be used",
    "authority_site": "The authority’s rule about this site",
    "authority_category": "The authority’s rule about this category",
    "school_site": "The school’s rule about this site",
    "school_category": "The school’s rule about this category",
    "default_site": "The authority’s suggestion for this site",
    "default_category": "The authority’s suggestion for this category",
    "phase_default": "What is usual at this age",
    "looks_harmful": "No list knows this site; a program guesses its category, and the school has a rule about that",
    "generated": "No list knows this site; its name looks made up by a program, and the school has a rule about that",
    "unknown_name": "No list knows this site",
    "safe_search": "A search engine that cannot be held to safe search",
    "error": "The filter could not decide, so it refused",
}

GLOSSARY = (
    ("site", "A domain, or part of one, that people visit: bbc.co.uk, or bbc.co.uk/bitesize."),
    ("category", "A kind of site, such as Gambling. Lists say which sites are in which category."),
    ("list", "A collection of sites of one category. A list decides only once it has been accepted like any other change."),
    (
        "feed",
        "A list that others keep up to date. A subscription that the headteacher approved lets its updates take effect.",
    ),
    ("sealed list", "The licensed list of illegal content. Nobody can open or read what is in it."),
    ("group", "Who a rule is for, such as Years 3–6 or Staff."),
    ("rule", "One line of what is open or blocked for a group."),
    ("suspension", "No internet for a group or a person until a date, but for the coursework list. It ends by itself."),
    ("coursework list", "Sites that a suspension leaves as they are."),
    ("request", "Someone asks for a change."),
    ("change", "A difference in the rules: requested, decided, recorded."),
    ("approve", "The headteacher signs a request into force."),
    ("refuse", "The headteacher says no to a request, with a reason."),
    ("ratify", "The headteacher signs something that a standing mandate already let through."),
    (
        "standing mandate",
        "What the headteacher signed beforehand: who may do what at once, until when, and how soon she ratifies it.",
    ),
    ("in force", "On every part of the filter now, as in “in force on 4 of 4”."),
    ("change log", "The record of all changes. It can prove that nothing in it was altered, dropped or added."),
    ("passkey", "A key in your own phone or computer. With it you sign exactly what you see, by fingerprint, face or PIN."),
    ("delegation", "What the headteacher signed so that a named person approves in her place, from and to a day."),
    (
        "fingerprint",
        "Eight letters and digits that stand for the exact change you see, and for what you sign.",
    ),
    ("capture", "An event, or a run of them, that someone should look at. It keeps the words, never pages or pictures."),
    ("grade", "What a reviewer makes of a capture: off task, behaviour, serious, or false positive."),
    ("incident", "One or more captures that are being dealt with."),
    ("review", "Looking at captures; and the meeting in which DSL and co-ordinator do it together."),
    ("theme", "What a capture is about, such as bullying."),
    ("lesson declaration", "A teacher says what a class will search for. Captures that fit say so; none is hidden."),
    ("pseudonym", "Pupil 7F3A2C: the same person everywhere here, without the name. To see the name you give a reason."),
    ("hold", "What it names is not deleted, whatever its age."),
    ("event", "One thing the filter saw or did. Events make up the filter log."),
    ("access log", "Who signed in at the desk, who looked at the filter log, and what was refused."),
)

NO_ILLEGAL_LIST = (
    "No licensed list of illegal content is installed, so this is not yet appropriate filtering in the sense of UKSIC "
    "(the UK Safer Internet Centre). Ask your authority about the lists of the Internet Watch Foundation and the "
    "Counter-Terrorism Internet Referral Unit."
)


def local(at: datetime, zone: str = ZONE) -> datetime:
    return at.astimezone(ZoneInfo(zone))


def day(at: date, zone: str = ZONE) -> str:
    """18 December 2026, of a moment or of a date."""
    there = local(at, zone) if isinstance(at, datetime) else at
    return f"{there.day} {there:%B %Y}"


def clock(now: Callable[[], datetime]) -> Callable[[datetime], str]:
    """A filter that says a moment as people do: today at 10:42."""

    def moment(at: datetime) -> str:
        there, today = local(at), local(now()).date()
        if there.date() == today:
            return f"today at {there:%H:%M}"
        if there.date() == today - timedelta(days=1):
            return f"yesterday at {there:%H:%M}"
        return uk_date(at)

    return moment


def fingerprint(digest: str) -> str:
    """9f2c-71ab."""
    return f"{digest[:4]}-{digest[4:8]}"


UNSEEN = {code: f"[U+{code:04X}]" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)}
LONGEST_SHOWN = 300


def shown_text(value: object) -> str:
    """A stranger's text as a page shows it: what turns its direction round is named, and a megabyte is cut."""
    text = str(value or "").translate(UNSEEN)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def plain(text: str) -> str:
    """A message as a sentence: capital at the front, stop at the end."""
    text = shown_text(text.strip())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!", ":")) else ".")


def number(value: int) -> str:
    return f"{value:,}"


def many(value: int, one: str, more: str = "") -> str:
    return f"{value:,} {one if value == 1 else more or one + 's'}"


def asset(name: str) -> str:
    """The address of a static file, with its content in the name, so that a new one is fetched at once."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"
