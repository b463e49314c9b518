"""What the guidance on sharing imagery and the council’s review ask for: steps, triggers, decisions, and cards by theme."""

from collections.abc import Mapping, Sequence

STEPS: Sequence[str] = (
    "Talk to a member of staff who knows the pupil, for what lies behind it.",
    "Discuss it with the DSL: is it a safeguarding concern?",
    "Talk to the pupil about the reasons, and note the conversation.",
    "Decide with the DSL when and how parents are told, unless that would put the pupil at risk.",
    "Meet the parents at the end of the day or when it suits; keep a record.",
    "Agree what follows for the pupil: support first, sanctions where they are right.",
    "Record it in the school’s system where it is a safeguarding issue.",
    "Report to the headteacher, and to the governing body as appropriate.",
    "Keep what is learnt: look again after six weeks.",
)
TRIGGERS: Mapping[str, str] = {
    "adult": "An adult is involved",
    "coercion": "A young person may have been coerced, blackmailed or groomed, or there is doubt about capacity to consent",
    "violent": "What is known suggests acts that are violent, or unusual for the young person’s stage of development",
    "under-13": "There are sexual acts, and a pupil in it is under 13",
    "immediate": "A pupil is at immediate risk of harm, such as being suicidal or self-harming",
}
DECISIONS: Mapping[str, str] = {
    "refer": "Refer to children’s social care",
    "police": "Refer to the police",
    "both": "Refer to both",
    "school": "Do not refer: the school deals with it",
}
NOT_REFERRED = "school"
THRESHOLDS: Mapping[str, str] = {
    "universal": "Universal", "additional": "Universal plus",
    "complex": "Additional needs", "acute": "Complex and significant",
}  # fmt: skip
CARDS: Mapping[str, Sequence[str]] = {  # what must be done, by theme
    "exploitation": (
        "Refer at once where an adult may be involved. Do not investigate first, and tip nobody off.",
        (
            "Never view, copy, print or forward sexual images. If one must be seen: ask the headteacher, have a second "
            "person of the same sex present, and record, sign and date it."
        ),
        "Report online grooming to CEOP; imagery to the Internet Watch Foundation’s Report Remove.",
    ),
    "self-harm": (
        "See the pupil today. If there is immediate danger, call 999 and stay with them.",
        "Tell parents or carers, unless that puts the pupil at risk.",
        "Give Childline 0800 1111, Papyrus 0800 068 4141, Shout 85258.",
    ),
    "prevent": (
        "Talk to the Prevent lead before anything else. Advice: the police’s Act Early line, 0800 011 3764.",
        "A referral to Channel needs the DSL; where life is in danger, call 999.",
    ),
    "family": (
        "If there is immediate danger, call 999. Else children’s social care the same day.",
        "Forced marriage and FGM: do not tell the family first. A teacher reports known FGM of under-18s to the police.",
    ),
    "violence": ("Check at once whether a person or a date is named; then the police, 101, or 999 in danger.",),
}
