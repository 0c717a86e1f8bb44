"""The output that the sandbox generates in place of a model: short plausible texts, a small PNG in one
colour, and silence of the length of a spoken text.

The prompt determines the kind of text (the first match of `KINDS`) and its topic; the wording comes from a
random generator that is seeded with the prompt, so the same prompt always gives the same text.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

from gatekeeper.sandbox.google_json import Json, field, messages, text

# A function of the prompt, its topic and the random generator that returns a text.
Writer = Callable[[str, str, Random], str]

# Characters of the user's text that are used, enough to choose a reply.
MAX_PROMPT_CHARACTERS = 2_000

# Google's numbers: 1,290 tokens per image, 25 per second of speech.
IMAGE_TOKENS = 1_290
IMAGE_SIDE = 16  # pixels
SPEECH_TOKENS_PER_SECOND = 25
WORDS_PER_SECOND = 2.5
MAX_SPEECH_SECONDS = 60
# 16 bits per sample, 24 kHz
SPEECH_BYTES_PER_SECOND = 48_000

OPENERS = (
    "Once, in a town where the rain kept office hours,",
    "Long after the last tram had gone,",
    "On the morning the lighthouse was sold,",
    "Nobody in the valley remembered who had started it, but",
)
HEROES = ("a clockmaker", "the night librarian", "a retired postman", "two sisters", "a very small robot")
DEEDS = (
    "found {topic} in a drawer that had never been there before.",
    "was asked to look after {topic} for one night only.",
    "wrote a letter about {topic} and posted it to the sea.",
    "learned that {topic} could hum, and that it knew only one tune.",
    "traded a good umbrella for {topic}.",
)
TURNS = (
    "The neighbours said nothing, which was unusual for them.",
    "It took three winters to understand what it was for.",
    "By noon everybody had heard; by evening everybody had an opinion.",
    "It was heavier than it looked, and it looked back.",
    "There was a map inside, drawn by somebody who disliked straight lines.",
    "The dog approved at once.",
)
ENDINGS = (
    "In the end it was kept, in the kitchen, where it is warm.",
    "And if you pass by on a quiet evening, you can still hear it.",
    "They never agreed on what it meant, and they are friends to this day.",
    "The next morning the rain came early, and nobody minded.",
)
HAIKU = (
    ("Morning light arrives", "over quiet roofs it thinks", "of {topic}, and waits"),
    ("An old pond again", "one leaf falls, and then a word:", "{topic}, rippling out"),
    ("Snow on the railway", "the signal turns to green for", "{topic}, passing through"),
)
POINTS = (
    "**Start small.** One careful look at {topic} beats a week of guessing.",
    "**Write it down.** What is known about {topic} fits on a page; the rest is weather.",
    "**Ask twice.** The second answer about {topic} is usually the better one.",
    "**Measure first.** Change one thing, then look at {topic} again.",
    "**Leave room.** A plan for {topic} without slack is a wish.",
    "**Share it.** Somebody else has met {topic} before you.",
    "**Stop in time.** Enough of {topic} is a decision, not an accident.",
)
CLAIMS = (
    "In short, {topic} is a matter of balance: a little structure, and patience for the rest.",
    "There are two sides to {topic}, and most of the trouble comes from seeing only one of them.",
    "The usual answer is that {topic} depends on context; the useful answer is to look at an example.",
    "What is surprising about {topic} is how much of it follows from a single simple idea.",
)
REASONS = (
    "First, it has to work on an ordinary day, not only on a good one.",
    "Second, whatever is added has to be carried by somebody later.",
    "A small experiment settles more here than a long discussion.",
    "People who do this every day tend to agree on the first half and to argue about the second.",
    "The details matter less than doing them in the right order.",
    "It helps to name the parts before moving them.",
)
GREETINGS = (
    "Hello! How can I help you today?",
    "Hi there! What would you like to talk about?",
    "Hello, world!",
)
CODE = '''Here is a small function for it:

```python
def {name}(items: list[str]) -> dict[str, int]:
    """Counts how often each item occurs."""
    counts: dict[str, int] = {{}}
    for item in items:
        counts[item] = counts.get(item, 0) + 1
    return counts
```

It runs in linear time and needs nothing but the standard library.'''


def last_user_text(contents: list[Json]) -> str:
    """The last text of the user, at most `MAX_PROMPT_CHARACTERS` long."""
    for content in reversed(contents):
        # Without a role a content is the user's, like at Google.
        if field(content, "role") in (None, "", "user"):
            texts = [text(part["text"]) for part in messages(field(content, "parts")) if "text" in part]
            if texts:
                return texts[-1][:MAX_PROMPT_CHARACTERS]
    return ""


def plausible_text(prompt_text: str, rng: Random) -> str:
    """A plausible reply to `prompt_text`."""
    about = topic(prompt_text)
    for pattern, writer in KINDS:
        if pattern.search(prompt_text):
            return writer(prompt_text, about, rng)
    return explanation(prompt_text, about, rng)


def long_story(prompt_text: str, rng: Random) -> str:
    """About 1,200 words: enough to watch for a minute."""
    about = topic(prompt_text)
    return "\n\n".join(story(prompt_text, about, rng) for _ in range(25))


def thought(prompt_text: str, rng: Random) -> str:
    """A thought summary in the format of `includeThoughts`: a title in bold, then prose."""
    claim = rng.choice(CLAIMS).format(topic=topic(prompt_text))
    return f"**Considering the request**\n\nI'm looking at what is really asked. {claim}\n\n\n"


def until_stop(full_text: str, stop_sequences: Sequence[str]) -> str:
    """The text before the first stop sequence."""
    found = [full_text.find(stop) for stop in stop_sequences if stop in full_text]
    return full_text[: min(found)] if found else full_text


def topic(prompt_text: str) -> str:
    """The topic: what is quoted, or follows "about", "of", "for", "on", or the first words that are not mere
    words of asking."""
    for pattern in (QUOTED, NAMED):
        if found := pattern.search(prompt_text):
            return found[1].strip()
    plain = FEW_WORDS.search(ASKING.sub("", prompt_text))
    return plain[0].strip() if plain else "the question"


def story(_: str, about: str, rng: Random) -> str:
    hero, deed = rng.choice(HEROES), rng.choice(DEEDS).format(topic=about)
    turns = " ".join(rng.sample(TURNS, 2))
    return f"{rng.choice(OPENERS)} {hero} {deed} {turns} {rng.choice(ENDINGS)}"


def haiku(_: str, about: str, rng: Random) -> str:
    return "\n".join(rng.choice(HAIKU)).format(topic=about)


def points(_: str, about: str, rng: Random) -> str:
    chosen = rng.sample(POINTS, rng.randint(3, 5))
    items = [f"{number}. {point.format(topic=about)}" for number, point in enumerate(chosen, 1)]
    return "\n".join([f"Here are {len(items)} thoughts on {about}:", "", *items])


def code(_: str, about: str, _rng: Random) -> str:
    return CODE.format(name="_".join(re.findall(r"[a-z]+", about.lower())[:3]) or "answer")


def greeting(_: str, _about: str, rng: Random) -> str:
    return rng.choice(GREETINGS)


def echo(prompt_text: str, _: str, _rng: Random) -> str:
    """The text to repeat, without quotation marks."""
    found = ECHO.search(prompt_text)
    return (found[1] if found else prompt_text).strip().strip("\"'“”‘’")


def explanation(prompt_text: str, about: str, rng: Random) -> str:
    asked = " ".join(prompt_text.split())[:120]
    opening = f"You asked: “{asked}” " if asked.endswith("?") and rng.random() < 0.5 else ""
    reasons = " ".join(rng.sample(REASONS, rng.randint(2, 4)))
    return f"{opening}{rng.choice(CLAIMS).format(topic=about)}\n\n{reasons}"


QUOTED = re.compile(r"(?:^|\s)[\"'“‘]([^\"'“”‘’]{3,40})[\"'”’]")
NAMED = re.compile(r"\b(?:about|of|for|on)\s+((?:[\w'-]+ ?){1,4})")
FEW_WORDS = re.compile(r"(?:[\w'-]+ ?){1,4}")
ASKING = re.compile(
    r"(?i)^\W*(?:(?:!\w+|please|can|could|you|tell|give|show|write|explain|describe|translate|summari[sz]e|how|"
    r"what|why|who|when|where|which|does|do|did|is|are|was|me|us|this|that|an?|the|python|function)(?:['’]s)?\b\W*)+"
)
ECHO = re.compile(r"(?is)^\W*(?:please )?(?:say|repeat|echo|reply with|answer with)(?: exactly)?[: ]+(.+)$")
# The first match counts; `echo` comes first because the text to repeat may contain the words of other kinds.
KINDS: tuple[tuple[re.Pattern[str], Writer], ...] = (
    (ECHO, echo),
    (re.compile(r"(?i)^\W*(?:hi|hello|hey|good (?:morning|day|evening))\b.{0,20}$"), greeting),
    (re.compile(r"(?i)\b(?:haiku|poem|verse)\b"), haiku),
    (re.compile(r"(?i)\b(?:story|tale|fable)\b"), story),
    (re.compile(r"(?i)\b(?:code|function|script|program|python|javascript)\b"), code),
    (re.compile(r"(?i)\b(?:list|steps|tips|ideas|reasons|ways|names)\b"), points),
)


def seeded_random(*seeds: object) -> Random:
    # A text as seed gives the same sequence in every process, `hash` does not. NUL separates the words, so
    # that `ab, c` and `a, bc` differ.
    return Random("\0".join(map(str, seeds)))  # noqa: S311 - plausible answers, nothing secret


def media_part(modality: str, prompt: str) -> tuple[Json, int]:
    """A response part that is not text, and its tokens."""
    if modality == "IMAGE":
        return inline("image/png", png(prompt)), IMAGE_TOKENS
    seconds = min(max(1, round(len(prompt.split()) / WORDS_PER_SECOND)), MAX_SPEECH_SECONDS)
    silence = bytes(seconds * SPEECH_BYTES_PER_SECOND)
    return inline("audio/L16;codec=pcm;rate=24000", silence), seconds * SPEECH_TOKENS_PER_SECOND


def inline(mime: str, data: bytes) -> Json:
    return {"inlineData": {"mimeType": mime, "data": base64.b64encode(data).decode()}}


def png(prompt: str) -> bytes:
    """An image in one colour."""
    colour = zlib.crc32(prompt.encode()).to_bytes(4, "big")[:3]
    # Eight bits a channel, red, green and blue; each row begins with its filter, 0 for none.
    head = struct.pack(">IIBBBBB", IMAGE_SIDE, IMAGE_SIDE, 8, 2, 0, 0, 0)
    rows = (b"\0" + colour * IMAGE_SIDE) * IMAGE_SIDE
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
