# ruff: noqa: E501 - a row of data stays a row, in whatever letters it is written
"""A school's year with 60 planted episodes: which captures find, which they miss, and what they take for one.

    python benchmarks/year.py [--share 0.1] [--seed 7]

A secondary school of 1,200 pupils: 30 million events a year, of which 640,000 are searches and 900,000 refusals; only those two
can become captures, so only those are made (`--share` of them; 1 makes them all). Among them stand 60 episodes, from plain to
subtle, in eleven languages, written before the first run and not changed to please it. Recall: episodes of which at least one
capture of their theme was shown to a reviewer (or, for themes that go there, stands in the weekly report). Precision: of a
theme's captures shown for review, those that belong to an episode; the noise holds lessons, games and sayings that sound alike.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from monitoring import captures
from monitoring.log import Log
from monitoring.rules import THEMES
from monitoring.watch import Watcher
from policy.event import Event
from policy.rules import Group, SchoolPolicy

START = datetime(2026, 9, 1, tzinfo=UTC)
SEARCHES, REFUSALS = 640_000, 900_000
GROUPS = {"year7": "ks3", "year8": "ks3", "year9": "ks3", "year10": "ks4", "year11": "ks4", "sixth": "sixth-form"}
SCHOOL = SchoolPolicy(
    "hillview", "Hillview", "a", "d", groups=tuple(Group(name, name, phase) for name, phase in GROUPS.items())
)


@dataclass(frozen=True)
class Episode:
    """What one pupil searches for, over some days. `plain` 3: anybody would see it; 1: only together, or hardly."""

    theme: str
    language: str
    plain: int
    searches: tuple[str, ...]
    days: int = 5


def _(theme: str, language: str, plain: int, *searches: str, days: int = 5) -> Episode:
    return Episode(theme, language, plain, searches, days)


EPISODES = (
    _("self-harm", "en", 3, "how to kill myself", "painless ways to die"),
    _("self-harm", "en", 3, "how many paracetamol to overdose", "will paracetamol kill you"),
    _("self-harm", "en", 2, "how to hide cuts on arms", "best way to cut yourself without scars"),
    _("self-harm", "en", 2, "how to skip meals without anyone noticing", "thinspo", "500 calorie diet for a week"),
    _("self-harm", "en", 1, "nobody would notice if i was gone", "why do i feel empty all the time", "tired of everything", "what is the point of living", days=12),
    _("self-harm", "en", 1, "i cant do this anymore", "writing a goodbye letter", "i feel numb", days=9),
    _("self-harm", "pl", 3, "jak się zabić", "chcę umrzeć"),
    _("self-harm", "ro", 2, "vreau să mor", "cum să mă sinucid"),
    _("self-harm", "cy", 2, "dw i eisiau marw"),
    _("self-harm", "uk", 3, "як вбити себе", "хочу померти"),
    _("self-harm", "ar", 3, "كيف انتحر", "اريد ان اموت"),
    _("self-harm", "en", 2, "how 2 k1ll myself", "su1cide methods"),
    _("exploitation", "en", 3, "he is 25 and wants me to send nudes", "is it illegal to send nudes at 14"),
    _("exploitation", "en", 3, "someone is blackmailing me with my nudes"),
    _("exploitation", "en", 2, "older boyfriend told me to keep it secret", "how to delete messages so parents cant see"),
    _("exploitation", "en", 1, "he buys me things and drives me around", "how to say no to older boyfriend", "is it ok if he is 24", days=10),
    _("exploitation", "fr", 2, "il veut que je lui envoie des photos nues"),
    _("exploitation", "es", 2, "me pide fotos desnuda un hombre mayor"),
    _("family", "en", 3, "my dad hits me what do i do", "how to run away from home"),
    _("family", "en", 2, "scared to go home", "mum drinks too much"),
    _("family", "pl", 3, "tata mnie bije", "jak uciec z domu"),
    _("family", "ur", 2, "زبردستی شادی"),
    _("family", "de", 2, "mein vater schlägt mich"),
    _("family", "en", 1, "can social services help me", "is shouting at children abuse", "sleep at a friends house every night", days=10),
    _("prevent", "en", 3, "how to join isis", "isis propaganda video download"),
    _("prevent", "en", 3, "great replacement manifesto pdf", "white power groups near me"),
    _("prevent", "en", 2, "siege james mason pdf", "accelerationism how to join"),
    _("prevent", "ar", 3, "كيف انضم الى داعش"),
    _("prevent", "de", 2, "wie werde ich nazi", "hitler hatte recht"),
    _("prevent", "en", 1, "why democracy must fall", "true europeans only", "saint tarrant", days=9),
    _("violence", "en", 3, "how to make a pipe bomb", "buy black powder uk"),
    _("violence", "en", 3, "where to buy zombie knife uk", "how to carry a knife without getting caught"),
    _("violence", "en", 2, "columbine shooters plan", "how to shoot up a school"),
    _("violence", "pt", 2, "como fazer uma bomba caseira"),
    _("violence", "en", 1, "getting back at everyone who hurt me", "list of people i hate", days=6),
    _("bullying", "en", 3, "how to make a hate page about someone", "how to bully someone online"),
    _("bullying", "en", 3, "everyone at school hates me", "i am being bullied"),
    _("bullying", "en", 2, "vote ugliest girl in year 9"),
    _("bullying", "fr", 2, "tout le monde me déteste à l'école"),
    _("bullying", "en", 1, "why did my friends leave me out", "new group chat without me", days=6),
    _("hate", "en", 3, "kill all muslims", "why are jews evil"),
    _("hate", "en", 2, "gay people are disgusting", "how to get rid of gays"),
    _("hate", "de", 2, "ausländer raus"),
    _("hate", "pl", 2, "nienawidzę żydów"),
    _("hate", "en", 1, "women belong in the kitchen proof", "alpha male rules for females", days=6),
    _("drugs", "en", 3, "buy weed near me", "how to roll a joint"),
    _("drugs", "en", 2, "plug telegram uk ket", "how long does mdma stay in your system"),
    _("drugs", "ro", 2, "de unde cumpăr iarbă"),
    _("drugs", "es", 2, "comprar marihuana"),
    _("drugs", "en", 1, "how to pass a drug test at home", "snow delivery near me", days=6),
    _("pornography", "en", 3, "pornhub", "free porn videos"),
    _("pornography", "pl", 3, "darmowe porno"),
    _("pornography", "en", 2, "undress ai app free", "nudify photo of classmate"),
    _("pornography", "uk", 2, "порно відео"),
    _("gambling", "en", 3, "bet365 sign up without id", "free spins no deposit"),
    _("gambling", "en", 2, "cs go skin betting site under 18"),
    _("gambling", "pt", 2, "apostas online sem idade"),
    _("bypass", "en", 3, "free vpn unblock school", "proxy sites that work at school"),
    _("bypass", "en", 2, "how to get past school filter", "cloaked browser unblocked"),
    _("misinformation", "en", 2, "proof the earth is flat", "vaccines have microchips truth"),
)  # fmt: skip
# Written after the sets had been widened for what was missed above, and before these were ever run: what the sets find of what
# nobody had in mind. Not changed since.
HELD_OUT = (
    _("self-harm", "en", 1, "what happens when you just give up", "how long until people forget you", "i dont feel anything", days=8),
    _("self-harm", "en", 2, "ways to cope with urges to cut", "how to cover scars with makeup"),
    _("self-harm", "de", 2, "ich kann nicht mehr", "wie viele tabletten sind tödlich"),
    _("self-harm", "fr", 2, "je ne sers à rien", "comment disparaître pour toujours"),
    _("exploitation", "en", 2, "guy online asking for pics of me in underwear"),
    _("exploitation", "en", 1, "my coach texts me late at night", "is it weird if he gives me gifts", days=8),
    _("exploitation", "pt", 2, "ele quer que eu mande fotos sem roupa"),
    _("exploitation", "pl", 2, "chłopak z internetu chce moje nagie zdjęcia"),
    _("exploitation", "de", 2, "er will ein nacktfoto von mir"),
    _("family", "en", 2, "my dad comes home drunk and shouts"),
    _("family", "en", 1, "can i live with my friend instead", "what happens if you tell a teacher about home", days=9),
    _("prevent", "en", 2, "day of the rope meaning", "how to join patriotic alternative"),
    _("prevent", "en", 1, "why are we being replaced", "they are taking over our country", "red pill race facts", days=9),
    _("violence", "en", 2, "how to bring a knife into school"),
    _("violence", "en", 1, "how to scare someone so they leave me alone", "they will all regret it", days=6),
    _("bullying", "en", 1, "how to eat lunch alone without looking weird", "everyone laughed at me today", days=6),
    _("bullying", "es", 2, "me hacen bullying en el colegio"),
    _("hate", "fr", 2, "blagues sur les arabes", "sale arabe"),
    _("hate", "en", 1, "are some races less intelligent", "why do they come here", days=6),
    _("drugs", "en", 2, "where to get lean uk"),
)  # fmt: skip
# Subtle ones once more: the families of faint words in concerns.yaml were widened with these in mind, and not with those above.
FURTHER = (
    _("self-harm", "en", 1, "i hate my life", "nobody cares about me", "is it normal to cry every day", days=9),
    _("self-harm", "en", 1, "why am i so sad all the time", "no one would care if i left", "how to stop feeling anything", days=10),
    _("exploitation", "en", 1, "he says im mature for my age", "how to hide messages from my mum", "meeting an online friend in real life", days=8),
    _("exploitation", "en", 1, "how to earn money delivering packages at 15", "is it snitching to tell the police", "i owe someone money what can they do", days=8),
    _("family", "en", 1, "what to do when parents fight every night", "how to lock bedroom door from inside", "can i live with my aunt", days=9),
    _("family", "en", 1, "no food in the house", "how to look after my baby brother on my own", "mum wont get out of bed", days=9),
    _("prevent", "en", 1, "why is the government lying about immigrants", "is multiculturalism failing", "white birth rate uk", days=9),
    _("violence", "en", 1, "how to get revenge on someone", "he deserves what is coming", "do schools search bags", days=6),
)  # fmt: skip
SHOWN_WEEKLY = frozenset({"pornography", "gambling", "bypass", "misinformation", "scams"})

# What a school searches for, most of it innocent; some of it sounds like harm and is a lesson, a game, a saying or a worry of
# every day. The share of what sounds alike is high on purpose.
INNOCENT = [
    "how to revise for maths",
    "volcano facts",
    "photosynthesis diagram",
    "romeo and juliet act 3 summary",
    "premier league table",
    "weather tomorrow",
    "bbc bitesize fractions",
    "capital of peru",
    "how to draw a dragon",
    "times tables game",
    "periodic table quiz",
    "an inspector calls quotes",
    "french verbs avoir",
    "oxbow lake formation",
    "tudor timeline",
    "year 9 options",
    "minecraft house ideas",
    "taylor swift lyrics",
    "cat memes",
    "how to tie a tie",
    "pythagoras theorem",
    "bus times",
    "school holidays 2026",
    "osmosis practical method",
    "python for loop",
    "macbeth themes",
    "river thames length",
    "what is a simile",
    "trainers sale",
    "best football boots",
    "recipe for flapjacks",
    "how old is the queen",
    "harry potter quiz",
    "world map",
    "spanish numbers",
    "gcse physics equations",
    "how to get rid of spots",
    "cheap prom dresses",
    "duolingo",
    "kahoot",
]
ALIKE = [
    "suicide in romeo and juliet essay",
    "why did the nazis hate the jews",
    "holocaust facts for homework",
    "effects of cannabis on the brain gcse pe",
    "to kill a mockingbird summary",
    "how to kill the ender dragon",
    "breast cancer awareness",
    "chicken breast recipe",
    "world war 2 bomb shelter",
    "atomic bomb hiroshima facts",
    "is gambling illegal under 18",
    "how do vaccines work",
    "anti bullying week poster",
    "what is county lines",
    "shooting stars tonight",
    "how to shoot a basketball",
    "sex education bbc bitesize",
    "scunthorpe united",
    "essex weather",
    "penistone grammar school",
    "jihad meaning in islam re homework",
    "suffragettes hunger strike",
    "eating disorders psychology a level",
    "samaritans number",
    "childline",
    "childline phone number",
    "how to stop bullying",
    "racism in of mice and men",
    "slavery in the british empire",
    "kkk in 1920s america gcse history",
    "terrorism definition citizenship",
    "9 11 facts",
    "drugs in sport athletics",
    "alcohol units pshe",
    "knife skills food technology",
    "gunpowder plot explained",
    "guy fawkes night",
    "this homework is killing me",
    "i am dead tired",
    "how to die in sims 4",
    "drop dead gorgeous cast",
    "hangman game online",
    "blood types biology",
    "ww1 poison gas",
    "hunger games summary",
    "death in macbeth quotes",
    "dead poets society essay",
    "how to cut a pineapple",
    "anne frank diary",
    "moors murders documentary",
    "depression in the 1930s",
    "the great depression causes",
    "weed killer for gardens",
    "grass seed",
    "crack the code maths",
    "coke zero calories",
    "speed equation physics",
    "heroin epidemic geography case study",
    "vpn meaning computing gcse",
    "what is a proxy server computer science",
    "poker hands probability",
    "roulette probability maths",
    "expected value of a bet",
    "flat earth debunked",
    "conspiracy theories english essay",
    "sticks and stones poem",
    "homophobia in sport essay",
    "hate crime law uk",
    "misogyny in othello",
    "runaway by kanye lyrics",
    "running away game",
    "my chemical romance lyrics",
    "killing in the name lyrics",
    "pumped up kicks lyrics meaning",
]
CATEGORIES = (
    "games",
    "games",
    "games",
    "social_networks",
    "streaming_media",
    "shopping",
    "sports",
    "entertainment",
    "gambling",
    "pornography",
    "proxy_vpn",
    "drugs_substance",
)


def times(rng: random.Random) -> datetime:
    """A moment of a school's year: mostly lessons on school days."""
    while True:
        at = START + timedelta(days=rng.randrange(320), hours=rng.triangular(7, 22, 11))
        if at.weekday() < 5 or rng.random() < 0.1:
            return at


def noise(rng: random.Random, share: float) -> Iterator[Event]:
    pupils = [(f"p{n:04}", tuple(GROUPS)[n % 6]) for n in range(1200)]
    for _n in range(int(SEARCHES * share)):
        who, group = pupils[int(1200 * rng.random() ** 1.2)]
        lot = rng.random()
        term = rng.choice(ALIKE) if lot < 0.02 else rng.choice(INNOCENT)
        if rng.random() < 0.3:
            term += rng.choice((" ks3", " for kids", " 2026", " meaning", " wikipedia", " youtube", " near me", " pdf"))
        yield search(times(rng), who, group, term)
    for _n in range(int(REFUSALS * share)):
        who, group = pupils[int(1200 * rng.random() ** 1.6)]
        category = rng.choices(CATEGORIES, (30, 20, 15, 12, 10, 5, 3, 3, 0.3, 0.3, 0.3, 0.05))[0]
        yield Event(
            times(rng).timestamp(),
            "page",
            "hillview",
            group,
            "lan",
            "lease",
            who,
            host=f"{category}{rng.randrange(40)}.example",
            path="/",
            action="block",
            category=category,
        )


def search(at: datetime, who: str, group: str, term: str) -> Event:
    return Event(
        at.timestamp(),
        "search",
        "hillview",
        group,
        "lan",
        "lease",
        who,
        host="www.google.com",
        path="/search",
        term=term,
        action="restrict",
        category="search_engines",
    )


def planted(rng: random.Random, some: tuple[Episode, ...]) -> Iterator[tuple[str, Episode, list[Event]]]:
    for n, episode in enumerate(some):
        who, group = f"planted{n:02}", tuple(GROUPS)[n % 6]
        day = START + timedelta(days=rng.randrange(10, 280))
        found = []
        for k, term in enumerate(episode.searches):
            at = day + timedelta(days=k * episode.days / max(1, len(episode.searches)), hours=rng.uniform(9, 15))
            found += [search(at - timedelta(minutes=3), who, group, rng.choice(INNOCENT)), search(at, who, group, term)]
        yield who, episode, found


def main() -> None:
    read = argparse.ArgumentParser()
    read.add_argument("--share", type=float, default=0.1)
    read.add_argument("--seed", type=int, default=7)
    read.add_argument("--held-out", action="store_true", help="plant the episodes that the sets were not widened for")
    read.add_argument("--further", action="store_true", help="plant those with which the faint families were widened")
    asked = read.parse_args()
    rng = random.Random(asked.seed)
    chosen = HELD_OUT if asked.held_out else FURTHER if asked.further else EPISODES
    episodes = {who: (episode, events) for who, episode, events in planted(rng, chosen)}
    every = sorted([*noise(rng, asked.share), *(event for _, some in episodes.values() for event in some)])
    with tempfile.TemporaryDirectory() as folder, Log(f"sqlite:///{folder}/log.sqlite3") as log:
        for n in range(0, len(every), 5_000):
            log.append(every[n : n + 5_000], {"proxy-1": (1, n + 1)})
        watcher = Watcher(log, lambda _: SCHOOL)
        began, count = time.perf_counter(), 0
        while looked := watcher.step()[0]:
            count += looked
        took = time.perf_counter() - began
        made = captures.between(log, "hillview", START, START + timedelta(days=400), ("pupil",), 1_000_000)
    print(
        f"{count:,} events looked through in {took:.0f} s ({count / took:,.0f}/s); {len(made):,} captures: {dict(Counter(one.route for one in made))}\n"
    )
    table(episodes, made)


def table(episodes: dict, made: list) -> None:
    print("| theme | episodes | found | recall | shown for review | of an episode | precision | in the weekly report |")
    print("|---|---|---|---|---|---|---|---|")
    caught: Counter[str] = Counter()
    total: Counter[str] = Counter()
    by_plain: Counter[tuple[int, bool]] = Counter()
    missed = []
    for who, (episode, _) in episodes.items():
        shown = [
            one for one in made if one.who == who and (one.route in {"review", "urgent"} or episode.theme in SHOWN_WEEKLY)
        ]
        hit = any(one.theme == episode.theme for one in shown)
        caught[episode.theme] += hit
        total[episode.theme] += 1
        by_plain[episode.plain, hit] += 1
        if not hit:
            other = sorted({one.theme for one in shown})
            missed.append(
                f"{episode.theme} ({episode.language}): {' / '.join(episode.searches)}{f' (seen as {other})' if other else ''}"
            )
    for theme in THEMES:
        review = [one for one in made if one.theme == theme and one.route in {"review", "urgent"}]
        right = [one for one in review if one.who in episodes and episodes[one.who][0].theme == theme]
        weekly = sum(one.theme == theme and one.route == "weekly" for one in made)
        recall = f"{caught[theme] / total[theme]:.2f}" if total[theme] else "-"
        precision = f"{len(right) / len(review):.2f}" if review else "-"
        print(
            f"| {THEMES[theme].name} | {total[theme]} | {caught[theme]} | {recall} | {len(review)} | {len(right)} | {precision} | {weekly:,} |"
        )
    for plain, name in ((3, "plain"), (2, "less plain"), (1, "subtle")):
        print(f"\n{name}: {by_plain[plain, True]} of {by_plain[plain, True] + by_plain[plain, False]} found", end="")
    print("\n\nmissed:\n" + "\n".join(f"- {one}" for one in missed))


if __name__ == "__main__":
    main()
