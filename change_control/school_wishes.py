"""What people ask for about a school as a whole: how a blocked name is answered, whose accounts sign in, another head."""

from dataclasses import dataclass

from category_lists.taxonomy import Taxonomy
from change_control.diffs import Diff, make, school_of
from policy import tenants
from policy.rules import Document


@dataclass(frozen=True, slots=True)
class AnswerWish:
    """What the resolver says for a blocked name, for the whole school."""

    answer: str

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "this setting")
        if self.answer not in ANSWER_WORDS:
            raise ValueError(f"a blocked name is answered {', '.join(ANSWER_WORDS)}, not {self.answer[:20]!r}")
        if self.answer == school.blocked_answer:
            raise ValueError("this is how blocked names are answered already")
        return make("answer", change, values={"blocked_answer": (school.blocked_answer, self.answer)})


ANSWER_WORDS = {
    "page": "leads to the page that says so",
    "nxdomain": "is answered as if it did not exist",
    "null": "leads nowhere, to the address 0.0.0.0",
}


def tell_answer(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    old, new = diff["set"]["blocked_answer"]
    return f"At {document.name}, a blocked name {ANSWER_WORDS[new]}; until now it {ANSWER_WORDS[old]}."


@dataclass(frozen=True, slots=True)
class TenantsWish:
    """Whose Google and Microsoft accounts may sign in at school; none: everyone's."""

    google: str = ""
    microsoft: str = ""
    directory: str = ""

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "accounts")
        new = {
            "google_domains": tenants.domains(self.google),
            "microsoft_tenants": tenants.domains(self.microsoft),
            "microsoft_directory": tenants.directory(self.directory),
        }
        if bool(new["microsoft_tenants"]) != bool(new["microsoft_directory"]):
            raise ValueError("for Microsoft, give both the domains and the directory's number, or neither")
        values = {name: (getattr(school, name), value) for name, value in new.items() if getattr(school, name) != value}
        if not values:
            raise ValueError("this is how it is set already")
        return make("tenants", change, values=values)


def tell_tenants(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    said = []
    for name, brand in (("google_domains", "Google"), ("microsoft_tenants", "Microsoft")):
        if name in diff["set"]:
            allowed = " and ".join(diff["set"][name][1].split(","))
            whose = f"only accounts of {allowed} may sign in" if allowed else "anyone's account may sign in"
            said.append(f"At {brand}, {whose} from {document.name}.")
    return " ".join(said) or f"The number of {document.name} at Microsoft is corrected."


@dataclass(frozen=True, slots=True)
class HeadWish:
    """Another headteacher: signed by the LA officer and a second person. Until she enrols, the one before her stays."""

    leaves: tuple[str, ...] = ()  # pseudonyms, filled in by change control

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school_of(document, "headteachers")
        return {**make("head", change), "leaves": list(self.leaves)}


def tell_head(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy, diff
    return (
        f"{document.name} gets another headteacher. Whoever holds the role now loses it when the new one enrols; "
        "what she signed stays signed."
    )
