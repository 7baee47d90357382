"""The order of what was found: words and meaning together, and what notes stand beside.

An index scores each note alone. What a note says is often completed by those before and after it: an answer follows
its question. So candidates that belong together, in order (`session` or `thread` in the metadata, else one folder's
notes of one day), raise each other; a question that names an author or a date raises the notes that are theirs.
Only candidates count, which the agent sees, so what it cannot see changes nothing. Not here: finding candidates, who
may see what, and what the scores of the hits mean (`confidence.py`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple, TypeAlias

from vfs_core import confidence
from vfs_core.asked import Question, question
from vfs_core.storage import Found
from vfs_core.types import JSON

DEPTH = 100
"""Hits by words, and as many by meaning, that are put in order together. Measured on dialogues: 200 add none."""

Scored: TypeAlias = tuple[Found, float]
"""A hit and its score in [0, 1]."""


class Candidate(NamedTuple):
    """A note that may be what is asked for, with what the indexes say of it."""

    found: Found
    words: float = 0.0
    """The score of the index of words, in [0, 1]; 0: none of the words is in it."""
    meaning: float | None = None
    """By how many standard deviations it is nearer to the question than notes mostly are; None: it has no vector."""


# The shares and factors below are round numbers on plateaus: on dialogues (LoCoMo, development half) a third more or
# less of any costs 0.5 points of R@10 at the most, and all but the first two touch nothing without metadata.
_MEANING = 0.4
"""What a standard deviation of meaning counts, as odds: as much as a word that two of a hundred notes have, or so."""
_USUAL = 1.0
"""Standard deviations that mean nothing: every sixth note is as near."""
_BEFORE = (0.35, 0.25, 0.05)
"""How much of a candidate's evidence goes to what follows it: an answer has its question's words beside its own."""
_AFTER = (0.15, 0.1)
"""How much of it goes to what came before."""
_BEST = 0.3
"""How much of its best candidate's evidence goes to all of a sequence."""
_REMARK = 40
"""Bytes at which half is taken off in a session or thread: who talks says much in passing that answers nothing."""
_NAMED = 1.75
"""By how much the evidence for a note grows if the question names its author."""
_DATED = 2.5
"""By how much it grows if the question names a time in which it lies."""
_FEW = 10
"""Notes below which the nearest in meaning is no find only because it is the nearest."""
_CHANCE = 0.3
"""The evidence that it may have by chance: of eight notes one is by so much above what is usual, mostly."""
_CERTAIN = 1 - 1e-9
_SHORT = 500
"""Characters of metadata that are worth remembering what they say."""


class _Context(NamedTuple):
    """What the metadata of a candidate says about its place among others."""

    sequence: tuple[str, str | int] | None
    moment: tuple[str, int, int]
    boost: float


def sequence_of(found: Found) -> tuple[str, str | int] | None:
    """What a note belongs to, in order, if anything: its session or thread, else its folder on its day."""
    sequence, _, time = _said_by(found.meta_json)
    if sequence is None and time:
        return time[:10], found.parent
    return sequence


def has_context(found: Found) -> bool:
    """Whether there is anything in the metadata of a hit that could change its place."""
    meta = found.meta_json
    return '"session"' in meta or '"thread"' in meta or '"time"' in meta or '"author"' in meta


def leading(candidates: Sequence[Candidate], count: int) -> list[Found]:
    """The `count` candidates for which there is the most evidence, each alone."""
    return [each.found for each in sorted(candidates, key=_evidence, reverse=True)[:count]]


def meant(query: str, hits: Iterable[Found]) -> str:
    """What to look for by meaning: the question without the names of authors of hits by words."""
    authors = {author for found in hits if (author := _said_by(found.meta_json).author)}
    return question(query).without(authors) if authors else query


def rank(query: str, candidates: Sequence[Candidate]) -> list[Scored]:
    """The candidates in their final order, with scores that fall. Of equals, the one that came first stays so.

    The first score is about the probability that the first is what was asked for; the others fall from there.
    """
    asked = question(query)
    names = cache(asked.names)
    alone = [_evidence(each) for each in candidates]
    contexts = [_context(each.found, asked, names) for each in candidates]
    gathered = _gathered(contexts, alone)
    final = [evidence * context.boost for evidence, context in zip(gathered, contexts, strict=True)]
    order = sorted(range(len(final)), key=lambda index: -final[index])
    meant = sum(each.meaning is not None for each in candidates)
    few = 0 < meant < _FEW and candidates[order[0]].words == 0
    scores = confidence.scores([final[index] for index in order], _CHANCE if few else 0.0)
    return [(candidates[index].found, score) for index, score in zip(order, scores, strict=True)]


def _evidence(candidate: Candidate) -> float:
    """Odds, which add up: a sum under a half-way curve, as backends give, is that sum again as odds."""
    words = min(candidate.words, _CERTAIN)
    odds = words / (1 - words)
    if candidate.meaning is None or candidate.meaning <= _USUAL:
        return odds
    return odds + _MEANING * (candidate.meaning - _USUAL)


def _gathered(contexts: Sequence[_Context], alone: Sequence[float]) -> list[float]:
    """The evidence for each candidate, with what its neighbours and its sequence add."""
    sequences: dict[tuple[str, str | int], list[int]] = defaultdict(list)
    for index, context in enumerate(contexts):
        if context.sequence is not None:
            sequences[context.sequence].append(index)
    together = list(alone)
    for members in sequences.values():
        if len(members) == 1:
            continue
        members.sort(key=lambda index: contexts[index].moment)
        best = _BEST * max(alone[index] for index in members)
        for place, index in enumerate(members):
            together[index] += best
            for share, other in zip(_BEFORE, members[place + 1 :], strict=False):
                together[other] += share * alone[index]
            for share, other in zip(_AFTER, members[place + 1 :], strict=False):
                together[index] += share * alone[other]
    return together


class _Said(NamedTuple):
    """What of a metadata text counts here; empty where it is not said, or not as text."""

    sequence: tuple[str, str] | None
    author: str
    time: str


def _context(found: Found, asked: Question, names: Callable[[str], bool]) -> _Context:
    assert found.stat is not None
    stat = found.stat
    sequence, author, time = _said_by(found.meta_json)
    boost = _NAMED if author and names(author) else 1.0
    if time and asked.means(time):
        boost *= _DATED
    moment = time, stat.created_ns, stat.id
    if sequence is not None:
        return _Context(sequence, moment, boost * stat.size / (stat.size + _REMARK))
    return _Context((time[:10], found.parent) if time else None, moment, boost)


def _said_by(meta_json: str) -> _Said:
    return _said(meta_json) if len(meta_json) <= _SHORT else _said.__wrapped__(meta_json)


@lru_cache(maxsize=1 << 13)
def _said(meta_json: str) -> _Said:
    meta: dict[str, JSON] = json.loads(meta_json)
    author, time = meta.get("author"), meta.get("time")
    sequence = None
    for key in ("session", "thread"):
        value = meta.get(key)
        if isinstance(value, (str, int)):
            sequence = key, str(value)
            break
    return _Said(sequence, author if isinstance(author, str) else "", time if isinstance(time, str) else "")
