"""The analyser: words out of any text, terms out of any query, and the snippet of a hit.

Index and query go through the same functions, whatever the engine below, so that what is written is
what is found. Text is NFKC, case-folded, without the accents of Latin, Greek and Cyrillic, the points
of Hebrew and the vowel signs of Arabic. English words are stemmed (Snowball); their plain form is
indexed too, for prefixes.
What is written without spaces (Chinese, Japanese, Thai) and Korean become overlapping pairs of
characters: measured on Chinese, pairs recall 0.97 where whole runs recall 0.19 and a dictionary 0.91.
Not here: ranking, and anything that knows of nodes or files.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from unicodedata import normalize

import Stemmer

VERSION = 1
"""Raised with every change of what `tokens` gives: an index made by another analyser is made anew."""
MAX_TERMS = 64
"""Distinct terms that are taken from a query, from its beginning; the rest is ignored."""
MAX_QUERY = 100_000
"""Characters of a query that are looked at."""
_SHORT = 1000
"""Characters of a query up to which it is worth remembering what it looks for: a search and each snippet ask."""
MAX_TEXT = 1 << 20
"""Characters of a text, and bytes of a file, that are looked at; no note is longer."""
MAX_TOKEN = 128
"""Characters of a word that count: two that agree so far are one (base64, noise)."""

# Thai, Lao, Myanmar, Hangul, Khmer, kana, bopomofo, Han: no spaces, or (Korean) endings that hide the word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3021-\u3029\u3041-\u309a\u309d-\u309f"
    "\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u3131-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# What Python's \w leaves out though it stands inside words: combining marks, joiners, the soft hyphen.
_INSIDE = (
    "\u00ad\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f"
    "\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u0900-\u0963\u0971-\u0df3\u0f71-\u0fbc"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u200c\u200d\u20d0-\u20f0\ufe00-\ufe0f\ufe20-\ufe2f"
)
_LETTER = rf"[^\W{_UNSPACED}]"
_RUN = re.compile(rf"({_LETTER}+(?:[{_INSIDE}]{_LETTER}*)*)|([{_UNSPACED}]+)")
_ASCII_WORD = re.compile(rf"([A-Za-z0-9_]{{1,{MAX_TOKEN}}})[A-Za-z0-9_]*")
_DROPPED = re.compile(r"[\u00ad\u0300-\u036f\u0591-\u05c7\u0640\u064b-\u065f\u0670\u200c\u200d\ufe00-\ufe0f]")
_CHANGED = frozenset({"die", "lie", "tie"})
_HUMP = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")

_STOP_WORDS = """
    a am an and any are as at be because been being but by can could did do does doing for from had has
    have having he her hers him his how i if in into is it its just me might mine must my myself no nor not
    of on or our ours shall she should so some such than that the their theirs them then there these they
    this those to too very was we were what when where which who whom whose why will with would you your
    yours s t d m ll re ve
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that ask and bind but say nothing; dropped from queries, never from the index."""


_ASKING = re.compile("什么|怎么|怎样|如何|为何|多少|哪[个些里儿种位]|几个|多久|何时|何地|是否|请问|[吗呢]$")
"""What asks in Chinese: it parts what stands around it, and is looked for only where nothing else is left."""


class Term(NamedTuple):
    """One thing that a query looks for: a token, or with `prefix` every token that begins with it."""

    text: str
    prefix: bool = False


class _Word(NamedTuple):
    """A word analysed: what it is found by, and the plain forms that only prefixes look for."""

    stems: tuple[str, ...]
    plain: tuple[str, ...]


def tokens(text: str) -> str:
    """What is indexed of a text, in order, with spaces between: of ASCII only letters, digits and `_`."""
    if text.isascii():
        return " ".join(map(_spelled, _ASCII_WORD.findall(text)))
    # The last character of an unspaced run begins no pair; alone it lets one character find it too.
    return " ".join(
        _spelled(run) if is_word else " ".join((*_pairs(run), run[-1]))
        for run, is_word, _ in _runs(normalize("NFKC", text))
    )


def terms(query: str) -> tuple[Term, ...]:
    """What a query looks for: any of these. Every string is a valid query; without a word it gives none.

    `word*` looks for all that begins with `word`. Nothing else is an operator. Stop words are dropped
    unless nothing else is there. The first MAX_TERMS distinct terms count.
    """
    return _terms(query) if len(query) <= _SHORT else _terms.__wrapped__(query)


@lru_cache(maxsize=1 << 10)
def _terms(query: str) -> tuple[Term, ...]:
    found: dict[Term, None] = {}
    stopped: dict[Term, None] = {}
    for run, is_word, starred in _runs(normalize("NFKC", query[:MAX_QUERY])):
        if not is_word:
            into = found
            parts = _ASKING.split(run)
            new = [term for part in parts if len(part) > 1 or part == run for term in _pair_terms(part)]
            stopped.update((term, None) for part in (run, *parts) for term in _pair_terms(part) if term.text)
        elif starred:
            new = [Term(_fold(run.strip("_")), prefix=True)]
            into = found
        else:
            new = [Term(stem) for stem in _analyse(run).stems]
            into = stopped if run.lower() in STOP_WORDS else found
        into.update((term, None) for term in new if term.text)
        if len(found) >= MAX_TERMS:
            break
    return tuple(found or stopped)[:MAX_TERMS]


def snippet(text: str, query: str, width: int = 160) -> str:
    """The part of `text` around the densest group of the query's words: one line, at most `width` characters.

    Whitespace and control characters become single spaces; `…` stands where something was cut, and
    counts. Without a word of the query in it, the beginning.
    """
    line = " ".join(text[:MAX_TEXT].split())
    if not line.isprintable():
        line = _BLANK.sub(" ", line).strip()
    if len(line) <= width:
        return line
    if width < 3:
        return line[: max(width, 0)]
    first, last = _densest(line, terms(query), width - 2)
    start = max(0, min(first - (width - (last - first)) // 2, len(line) - width))
    start = _after_gap(line, start + 1, first) if start else 0
    end = start + width - (start > 0)
    if end < len(line):
        end = _before_gap(line, end - 1, last)
    return ("…" if start else "") + line[start:end].strip() + ("…" if end < len(line) else "")


# --- words ---------------------------------------------------------------------------------------


def _runs(text: str) -> Iterator[tuple[str, bool, bool]]:
    """The runs of a text: the run, whether it is a word (otherwise it is unspaced), whether a `*` follows."""
    for match in _RUN.finditer(text):
        is_word = match.lastindex == 1
        run = match.group()[:MAX_TOKEN] if is_word else match.group()
        yield run, is_word, text.startswith("*", match.end())


def _pair_terms(run: str) -> list[Term]:
    """Pairs begin with every character but the last, which is indexed alone: a prefix finds all."""
    return [Term(pair) for pair in _pairs(run)] or [Term(run, prefix=True)]


def _pairs(run: str) -> list[str]:
    return [run[index : index + 2] for index in range(len(run) - 1)]


def _fold(word: str) -> str:
    if word.isascii():
        return word.lower()[:MAX_TOKEN]
    bare = _DROPPED.sub("", normalize("NFKD", word.casefold()))
    return normalize("NFKC", bare)[:MAX_TOKEN]


class _Stemmers(threading.local):
    """One stemmer per thread: a PyStemmer object must not be shared."""

    def __init__(self) -> None:
        self.english = Stemmer.Stemmer("english", 0)


_STEMMERS = _Stemmers()


def _analyse(word: str) -> _Word:
    """A word with its parts: `risk_report` is also risk and report, `userName` also user and name."""
    whole = word.strip("_")
    stems: list[str] = []
    plain: list[str] = []
    for part in dict.fromkeys((whole, *_parts(whole))):
        folded = _fold(part)
        if not folded:
            continue
        stem = folded
        if folded.isascii() and folded.isalpha():
            stem = str(_STEMMERS.english.stemWord(folded))
        stems.append(stem)
        if stem != folded:
            plain.append(folded)
    return _Word(tuple(dict.fromkeys(stems)), tuple(dict.fromkeys(plain)))


@lru_cache(maxsize=1 << 15)
def _spelled(word: str) -> str:
    analysed = _analyse(word)
    return " ".join((*analysed.stems, *analysed.plain))


def _parts(word: str) -> list[str]:
    pieces = word.split("_") if "_" in word else [word]
    if word.isascii() and not (word.islower() or word.isupper()):
        pieces = [hump for piece in pieces for hump in _HUMP.findall(piece)]
    return pieces


# --- snippets ------------------------------------------------------------------------------------


def _hits(line: str, wanted: tuple[Term, ...]) -> Iterator[tuple[int, int, Term]]:
    """Where terms stand in a text, in order: (start, end, term)."""
    exact = {term.text: term for term in wanted if not term.prefix}
    prefixes = [term for term in wanted if term.prefix]
    runs = _likely_words(line, wanted) if line.isascii() else _RUN.finditer(line)

    def hit_by(run: str) -> Term | None:
        for token in _forms(run):
            term = exact.get(token) or next((p for p in prefixes if token.startswith(p.text)), None)
            if term is not None:
                return term
        return None

    # Most words are no hit: those are passed over at the least cost.
    idle = not prefixes and exact.keys().isdisjoint
    for match in runs:
        run = match.group()
        if match.lastindex == 1:
            if idle and idle(_forms(run)):
                continue
            term = hit_by(run)
            if term is not None:
                yield match.start(), match.end(), term
            continue
        start, plain = match.start(), normalize("NFKC", run)
        if len(plain) != len(run):
            term = hit_by(run)
            if term is not None:
                yield start, match.end(), term
            continue
        for index in range(len(plain)):
            pair = plain[index : index + 2]
            term = exact.get(pair) or next((p for p in prefixes if pair.startswith(p.text)), None)
            if term is not None:
                yield start + index, start + index + (1 if term.prefix else 2), term


def _likely_words(line: str, wanted: tuple[Term, ...]) -> Iterator[re.Match[str]]:
    """The words of an ASCII text that have the beginning of a term in them: all that can be hits, and few others."""
    beginnings = _beginnings(wanted)
    low, end = line.lower(), 0
    while found := beginnings.search(low, end):
        start = found.start()
        while start > end and (low[start - 1].isalnum() or low[start - 1] == "_"):
            start -= 1
        match = _RUN.match(line, start)
        assert match is not None
        yield match
        end = match.end()


@lru_cache(maxsize=1 << 8)
def _beginnings(wanted: tuple[Term, ...]) -> re.Pattern[str]:
    """What a word begins with, or a part of it, that becomes one of the terms.

    The stemmer changes nothing in the first letters but what `dying` and the like become, and a last `y`.
    """
    heads = {
        term.text[:1] if term.text in _CHANGED else term.text[: min(3, max(1, len(term.text) - 1))]
        for term in wanted
        if term.text.isascii()
    }
    return re.compile("|".join(map(re.escape, sorted(heads))) or "(?!)")


@lru_cache(maxsize=1 << 15)
def _forms(run: str) -> tuple[str, ...]:
    return tuple(tokens(run).split())


def _densest(line: str, wanted: tuple[Term, ...], width: int) -> tuple[int, int]:
    """Begin and end of the group of hits within `width` that has the most different terms, then the most."""
    best, best_span = (0, 0), (0, 0)
    group: deque[tuple[int, int, Term]] = deque()
    for hit in _hits(line, wanted) if wanted else ():
        group.append(hit)
        while len(group) > 1 and hit[1] - group[0][0] > width:
            group.popleft()
        weight = (len({term for _, _, term in group}), len(group))
        if weight > best:
            best, best_span = weight, (group[0][0], min(hit[1], group[0][0] + width))
        if weight[0] == len(wanted):
            break
    return best_span


def _after_gap(line: str, start: int, first: int) -> int:
    """Where the next word begins, if that is near and cuts nothing that was found."""
    gap = line.find(" ", start - 1, min(start + 20, first))
    return gap + 1 if gap != -1 else min(start, first)


def _before_gap(line: str, end: int, last: int) -> int:
    """Where the last whole word ends, if that is near and cuts nothing that was found."""
    gap = line.rfind(" ", max(end - 20, last), end + 1)
    return gap if gap != -1 else end
