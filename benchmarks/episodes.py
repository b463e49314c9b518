# ruff: noqa: E501 - a row of data stays a row, in whatever letters it is written
"""What `year.py` plants in a school's year, and the noise among which it stands. Written by us; nobody's searches.

Each set of episodes was written before it was first run and has not been changed since; how far the phrase sets were widened with
a set at hand stands above it. Whoever changes what is captured writes another set first: a set that somebody has read while
changing rules says that the mending worked, and little more.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Episode:
    """What one pupil searches for, over some days. `plain` 3: anybody would see it; 1: only together, or hardly."""

    theme: str
    language: str
    plain: int
    searches: tuple[str, ...]
    days: int = 5
    night: bool = False


def _(theme: str, language: str, plain: int, *searches: str, days: int = 5, night: bool = False) -> Episode:
    return Episode(theme, language, plain, searches, days, night)


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
# Subtle ones a third time, with nights in them: written and put on record before weights were first added up over time.
FRESH = (
    _("self-harm", "en", 1, "does it get better after school", "why cant i feel happy about anything", "how long do people cry at funerals", days=9, night=True),
    _("self-harm", "en", 1, "how to give away your pets", "what song to play at my funeral", "is it selfish to leave your family", days=10),
    _("self-harm", "en", 1, "how many calories in an apple", "how to look thinner fast", "can you live on just water for a week", days=9),
    _("self-harm", "pl", 1, "nikt mnie nie lubi", "nie mam siły na nic", "po co to wszystko", days=9, night=True),
    _("exploitation", "en", 1, "how to get a second phone without parents knowing", "he said he would be angry if i told anyone", "can a 30 year old be your friend", days=8),
    _("exploitation", "en", 1, "my tutor wants to meet outside school", "he sends me money for clothes", "how do i know if he likes me or is using me", days=10),
    _("exploitation", "es", 1, "mi entrenador me escribe por la noche", "me regala cosas y dice que es secreto", days=7),
    _("family", "en", 1, "how to sleep when people are shouting", "hotels that let under 18s stay", "is it normal to be afraid of your dad", days=9, night=True),
    _("family", "en", 1, "how to cook dinner for five cheaply", "mum has not come home what do i do", "do i have to tell school my mum is ill", days=9),
    _("family", "de", 1, "meine eltern streiten immer", "wo kann ich schlafen wenn ich nicht nach hause will", days=8),
    _("prevent", "en", 1, "why doesnt anyone defend our people", "the great awakening truth about who runs the world", "how to find others who think like us", days=9),
    _("prevent", "en", 1, "is it a sin to have friends who dont believe", "what happens to martyrs", "how to travel to syria alone", days=9),
    _("violence", "en", 1, "what would happen if i brought something to school to protect myself", "they picked on the wrong person", "how long do you go to prison for stabbing", days=7),
    _("bullying", "en", 1, "how to stop people talking about me", "someone made an account pretending to be me", "can i change school in the middle of the year", days=8),
    _("bullying", "fr", 1, "personne ne veut s'asseoir avec moi", "comment changer de collège", days=6),
    _("hate", "en", 1, "why do they get everything for free", "are muslims allowed to lie", "we should send them back", days=7),
)  # fmt: skip
# What young people wrote about to helplines and advice pages, each story told as searches: first run when the signs (signs.yaml) were
# there, and none of these was found. confiding.yaml was written with them at hand.
LETTERS = (
    _("family", "en", 1, "dad not allowed to live with us is it my fault", "how long do social services take", "was i right to tell school about my dad", days=9),
    _("family", "en", 1, "mum takes her anger out on me", "how to hide a black eye", "who can i talk to about my mum", days=8),
    _("family", "en", 1, "left in my room all the time", "she said i should not have been born", "nobody to talk to at home", days=9),
    _("family", "en", 1, "my parents love my brother and not me", "can you get a train to london alone at 14", "they say life is easier without me", days=9),
    _("self-harm", "en", 1, "why does everyone leave me", "who can you talk to in the middle of the night", "why does nobody listen", days=8, night=True),
    _("exploitation", "en", 1, "19 year old keeps asking me to be his girlfriend", "what does unfinished business mean", "how to tell my parents a guy is scaring me", days=8),
    _("exploitation", "en", 1, "my boyfriend from online is visiting this summer", "is it wrong to video call someone you have never met", "can you trust someone you know from an art site", days=9),
    _("exploitation", "en", 1, "he wants to meet where there are less people", "a guy online says i am beautiful", "what to ask before you meet someone", days=8),
    _("exploitation", "en", 1, "can he get in trouble for going out with a 15 year old", "will people judge my boyfriend because he is 19", days=6),
    _("self-harm", "en", 1, "how to fake a smile", "how to talk to friends without being a burden", "why cant i cry", days=9),
    _("self-harm", "en", 1, "why do i feel lonely when people are around", "everyone thinks i am faking it", "crying in bed at night", days=8, night=True),
    _("bullying", "en", 1, "girls i used to be friends with leave me out", "sad every morning before school", "they cut me off because i dont drink", days=8),
    _("bullying", "en", 1, "my best friend turned everyone against me", "nobody wants to be my partner in pe", "can i be home schooled", days=9),
    _("bullying", "en", 1, "they say lies about me at school", "someone keeps taking my bag", "how many days off school can you have", days=9),
)  # fmt: skip
# The same from other letters: first run when confiding.yaml was there; its list of words was made longer with these at hand.
STORIES = (
    _("family", "en", 1, "how to know when dad is going to get angry", "where do people hide alcohol", "he says he is not an alcoholic", days=9),
    _("bullying", "en", 1, "how to walk home so nobody follows you", "i dont want to look in the mirror", "school sent a letter about my attendance", days=9),
    _("family", "en", 1, "when a mum moves out does she come back", "dad wont let me see my mum", "how to not upset my dad", days=9, night=True),
    _("self-harm", "en", 1, "bad thoughts when i am in my room", "am i normal", "why do i feel unwanted", days=8, night=True),
    _("self-harm", "en", 1, "no motivation to get out of bed", "feel really down and cant explain it", "what time does camhs open", days=9),
    _("self-harm", "en", 1, "lost interest in everything", "why am i sleepy all the time", "worried my family will die", days=9),
    _("bullying", "en", 1, "best friend pretends nothing happened", "who am i friends with now", "they went to town without me", days=8),
    _("exploitation", "en", 1, "my boyfriend makes me do things", "what rights do you have in a relationship", "how to say i am not ready", days=8),
    _("self-harm", "en", 1, "how to make anger go away", "called names at school again", "why does it feel good when it hurts", days=8),
)  # fmt: skip
# And from others again: chosen and written after that, run once, and nothing has been changed since.
UNSEEN = (
    _("exploitation", "en", 1, "friend in a game wants me to use another app", "he asked my name and age", "what country is six hours ahead", days=8),
    _("exploitation", "en", 1, "how to make someone stop messaging on instagram", "stranger comments on all my posts", "do you lose followers if you block someone", days=8),
    _("exploitation", "en", 1, "how to delete a chat before mum sees", "she wants to meet in the park on saturday", "failed my test cant stop thinking about a girl online", days=6),
    _("self-harm", "en", 1, "my heart feels cold", "i have no dreams for the future", "dont want to be away from mum", days=9),
    _("self-harm", "en", 1, "what does living on the edge feel like", "small things push me over", "too many bad days", days=9, night=True),
    _("self-harm", "en", 1, "dont enjoy things i used to like", "why am i so much angrier than my friends", "why is being a teenager awful", days=8),
    _("self-harm", "en", 1, "is it hormones or is something wrong", "can i see a doctor without my parents knowing", "nobody takes me seriously", days=8),
    _("exploitation", "en", 1, "is it grooming if it was years ago", "how to tell parents about something that happened online", "can you report someone from years ago", days=9),
    _("family", "en", 1, "support for kids who look after a parent", "mum has bad days", "how to get help without social services", days=9),
)  # fmt: skip
# Subtle ones that go on for weeks, written for moves.yaml, which was made with them at hand.
SLOW = (
    _("self-harm", "en", 1, "why do i wake up at 4am every night", "how to stop thinking at night", "can you be tired for months", "does anyone get better", days=16, night=True),
    _("self-harm", "en", 1, "how to tell someone you are not fine", "what do counsellors write down", "how to cancel an appointment with the nurse", days=9),
    _("self-harm", "en", 1, "is it ok to only eat dinner", "how many steps burn a sandwich", "why do i feel full after two bites", "how to make lunch look eaten", days=12),
    _("self-harm", "en", 1, "what do people say at funerals about teenagers", "can you leave your stuff to a friend", "how long until people forget you", days=10),
    _("self-harm", "en", 1, "how to cover marks for swimming", "long sleeve pe kit allowed", "does vitamin e oil make lines go away", days=9),
    _("self-harm", "en", 1, "i dont recognise myself any more", "how to make days go faster", "why is everything grey", days=14, night=True),
    _("exploitation", "en", 1, "he gets cross when i dont answer", "how to turn off read receipts", "is it mean to ignore someone who bought you a phone", days=10),
    _("exploitation", "en", 1, "how to get to manchester by coach on my own at 13", "what to wear to look 18", "does a hotel ask for id", days=7),
    _("exploitation", "en", 1, "my modelling friend online wants to see my outfits", "how do you know if an agency is real", "what happens to pictures you send", days=9),
    _("exploitation", "en", 1, "can you say no after saying yes to a favour", "he knows where i go to school", "how to change my number", days=8),
    _("exploitation", "en", 1, "older lads who let you hang out in their car", "is holding a bag for someone illegal", "how to get out of owing people", days=8),
    _("family", "en", 1, "how to lock your bedroom door without a lock", "what counts as too much wine", "can kids decide who to live with", days=11),
    _("family", "en", 1, "how to warm a bottle for a baby", "can you do washing without a machine", "why does mum sleep all day", days=12),
    _("family", "en", 1, "when does shouting become something you report", "can teachers keep a secret", "how to stay late at school every day", days=10),
    _("family", "en", 1, "do i need permission to not go on holiday", "what age can you refuse a wedding", "my cousin is coming to meet me from abroad", days=14),
    _("bullying", "en", 1, "how to eat lunch without anyone seeing you", "toilets with locks in library", "can you be moved to another form", days=8),
    _("bullying", "en", 1, "how to get a video taken down that others posted of you", "they all laugh when i walk in", "ways to get sent home", days=7),
    _("prevent", "en", 1, "who decides what the news does not tell us", "groups for young men who had enough", "why are we not allowed to say it", days=12),
    _("violence", "en", 1, "they will wish they had been nice to me", "which day is the most people in school", "how do school doors lock", days=9),
    _("violence", "en", 1, "how to feel nothing when someone gets hurt", "he said he is bringing something on friday", "should i tell if my friend has a thing in his bag", days=6),
)  # fmt: skip
# The same from another day: written before moves.yaml and run once, when it was there. Nothing has been changed since.
LAST = (
    _("self-harm", "en", 1, "is it normal to feel like you are watching your own life", "how to sleep for a whole day", "what if nothing ever changes", days=13, night=True),
    _("self-harm", "en", 1, "why do i ruin everything", "how to stop being a problem for people", "what to put in a letter to someone you love", days=10),
    _("self-harm", "en", 1, "smallest waist a person can have", "food that has nothing in it", "my hair is falling out and i am 14", "how to stop my mum from watching me eat", days=15),
    _("self-harm", "en", 1, "does the school check your arms", "plasters that stay on in the shower", "why does it help for a bit", days=8),
    _("self-harm", "en", 1, "my friend died and i cant feel it", "who gets my things", "is it better not to wake up", days=11, night=True),
    _("exploitation", "en", 1, "someone i game with wants to send me a present", "is it safe to give your address for a parcel", "how old do people sound on voice chat", days=9),
    _("exploitation", "en", 1, "my boss at the stables says i am different from other girls", "is it weird that he texts at night", "how to quit a saturday job", days=12),
    _("exploitation", "en", 1, "what do you get for doing drops", "train tickets under 16 alone", "how to hide cash in your room", days=7),
    _("exploitation", "en", 1, "he asked for a video and i said maybe", "can someone screenshot without you knowing", "can police see deleted pictures", days=6),
    _("family", "en", 1, "how do you know if your dad still loves you", "what to do if mum throws things", "sleeping in a shed in winter", days=12),
    _("family", "en", 1, "how to read letters from the council", "can they take your house", "jobs you can do at 12 for money for food", days=13),
    _("family", "en", 1, "why does my uncle always want to babysit", "how to not be left alone with someone", "is it lying if nobody asks", days=14),
    _("bullying", "en", 1, "how to become invisible at school", "which subjects have fewest people", "what is the rule for being off with a stomach ache", days=9),
    _("prevent", "en", 1, "what would a country look like only for us", "books they took out of libraries", "how to find the real history of the war", days=14),
    _("violence", "en", 1, "how to stop being scared of someone by scaring them", "what can you carry legally for protection", "he will not laugh next week", days=8),
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

# What people of that age search for about themselves, and nobody need see: without these, a rule that reads worry into every "i"
# and "my" would look precise.
WORRIES = """
how to make my crush like me; why is my friend ignoring me; how do i ask someone to prom; birthday present ideas for my mum; why does my head hurt
i hate maths; how to stop being shy; am i pretty quiz; does he like me quiz; how to get my parents to buy me a dog; how to tell my mum i failed a test
can i dye my hair at home; my phone wont charge what do i do; how to stop biting my nails; how to make friends at a new school; why am i always tired
how to fall asleep fast; i cant sleep; i cant do my homework; why do i get spots; how tall will i be; how to get taller; how much should i weigh at 14
how many calories in a banana; healthy lunch ideas for school; how to get abs; how to run faster; can i drop french; how to revise when you are tired
what to do when bored at home; when do i get my results; what if i fail my gcses; how to stop being nervous before a test; i feel sick before exams
what to say when someone is sad; my dog died how to feel better; how to write a sorry note to my friend; what to write in a birthday card for my dad
how to get my little brother to leave me alone; my sister is so annoying; why is my mum so strict; how to convince my dad to get a ps5; is my mum right
who would win quiz; things to do with my gran; can my friend stay for a sleepover; how to pack for a school trip; what do i do if i miss the bus
how to be popular; how to be more confident; why do people not text back; what does it mean when a boy stares at you; how to get over a crush
is 12 too young for a phone; can 13 year olds have instagram; how to get more followers; someone stole my bike what do i do; i lost my keys
what time do shops close at night; how late can i stay out at 15; do i have to wear a blazer; can teachers keep you after school; what happens if you skip detention
how much money do youtubers make; how to earn money at 14; jobs for 15 year olds; how to save money for a phone; can i get a second hand laptop
why do my legs ache after football; my coach put me on the bench; how to tell my coach i am ill; gift ideas for a teacher; my teacher gave me lines
everyone in my class is taller than me; nobody came to the cinema; funny stories about school; who runs the bank of england; why do people migrate geography
do muslims celebrate christmas; what do jews eat; why do people come to the uk; what is a martyr re; syria map; who was oswald mosley; why did rome fall
how to get revenge in among us; he deserved the oscar; we will rock you lyrics; they are taking over minecraft mod; dead by daylight map; cut my hair short ideas
"""
# What looks like hiding, weighing whom to tell or getting away (moves.yaml), and is every day. Written before it was tried.
ORDINARY = """
how to hide spots for photos; how to delete instagram messages; how to change my phone number; what to wear to look older for prom; can you get a train on your own at 14; how to look after a friends dog
how to move up a set in maths; how to get out of pe; do hotels ask for id at 18; can you wear long sleeves under a pe shirt; how to turn off read receipts; where to eat lunch in town; what happens if you tell a teacher you forgot your homework
can you choose who you sit with on the trip; how to leave a group chat; how to hide apps on iphone; how to get to london by train cheap; can i stay at a friends house on a school night; how to lock my phone; what age can you have a job
how to warm up pizza; how to do washing at university; my mum sleeps with the tv on; how to tell my parents i want a tattoo; can teachers see your search history; how to report a lost bus pass; do schools read your emails
how to carry a cello on the bus; how to send a parcel to france; how to deliver newspapers; what do you get for your duke of edinburgh award; why does everyone laugh when i say bath; how to make a class video; who gets into oxford
where is the library at school; toilets near me; what to say if someone asks you to prom; what to give my grandad for his birthday; my cousin is getting married what to wear; why do i wake up at 6 on saturday; how to stop thinking about exams
how to skip ads; how to eat less sugar; is it ok to skip breakfast before a race; how many calories do you burn swimming; what lunch has the most protein; how to feel full on a hike; can you carry scissors on a plane
what time do school doors open; school cctv policy; who decides the school uniform; how to get a video off my phone; how to make someone like you; best revenge films; how to scare my brother at halloween
what happens to your stuff when you leave school; how to write a goodbye card to a teacher; last day of school ideas; how to write a letter to my mp; how to say no to extra homework; can kids go to the cinema alone
"""
WORRIES_LIST = [one.strip() for line in (WORRIES + ORDINARY).strip().splitlines() for one in line.split(";")]
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
