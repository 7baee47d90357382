"""The order of what was found, once it is known whose notes these are and what they stand beside.

An index scores each note alone. What a note says is often completed by those before and after it: an answer follows
its question. So hits that belong together, in order (`session` or `thread` in the metadata, else one folder's notes
of one day), raise each other; a question that names an author or a date raises the notes that are theirs.
Only hits count that the agent sees, so what it cannot see changes nothing. Not here: finding, and who may see what.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple, TypeAlias

from vfs_core.asked import Question, question
from vfs_core.storage import Found
from vfs_core.types import JSON

DEPTH = 100
"""Visible hits that are put in order together. Measured on dialogues: 50 lose 2.5 points of R@10, 200 add none."""

Scored: TypeAlias = tuple[Found, float]
"""A hit and its score in [0, 1]."""

# The shares and factors below are round numbers on a plateau: on dialogues (LoCoMo, development half) twice or half of
# each costs 1.3 points of R@10 at the most, and none of them touches notes without metadata.
_NEIGHBOURS = (0.15, 0.1, 0.05)
"""How much of a hit's evidence goes to the hits beside it: the next, the one after it, the third."""
_BEST = 0.2
"""How much of its best hit's evidence goes to all hits of a sequence."""
_NAMED = 1.5
"""By how much the evidence for a note grows if the question names its author."""
_DATED = 1.5
"""By how much it grows if the question names a time in which it lies."""
_CERTAIN = 1 - 1e-9
_SHORT = 500
"""Characters of metadata that are worth remembering what they say."""


class Candidate(NamedTuple):
    """What the indexes say of a note.

    `words` is the score in [0, 1) of the search backend, 0 where it has none of the words. `meaning` counts standard
    deviations above what else the agent sees (`vfs_core.semantic.Near`); None: it is not embedded.
    """

    found: Found
    words: float
    meaning: float | None


def fused(query: str, candidates: Sequence[Candidate]) -> list[Scored]:
    """The order of what both indexes have found."""
    hits = []
    for found, words, meaning in candidates:
        odds = _odds(words) + (0.0 if meaning is None else math.exp(min(meaning, 12.0) - 4))
        hits.append((found, odds / (1 + odds)))
    return rerank(query, sorted(hits, key=lambda hit: -hit[1]))


class _Context(NamedTuple):
    """What the metadata of a hit says about its place among others."""

    sequence: tuple[str, str | int] | None
    moment: tuple[str, int, int]
    boost: float


def has_context(found: Found) -> bool:
    """Whether there is anything in the metadata of a hit that could change its place."""
    meta = found.meta_json
    return '"session"' in meta or '"thread"' in meta or '"time"' in meta or '"author"' in meta


def rerank(query: str, hits: Sequence[Scored]) -> list[Scored]:
    """The hits in their final order, with scores that fall. Of equals, the one that came first stays so.

    Scores in [0, 1] are added up as odds: those of a sum under a half-way curve, as backends give, are that sum again.
    """
    asked = question(query)
    names = cache(asked.names)
    contexts = [_context(found, asked, names) for found, _ in hits]
    gathered = _gathered(contexts, [_odds(score) for _, score in hits])
    final = [odds * context.boost for odds, context in zip(gathered, contexts, strict=True)]
    order = sorted(range(len(hits)), key=lambda index: -final[index])
    return [(hits[index][0], final[index] / (1 + final[index])) for index in order]


def _gathered(contexts: Sequence[_Context], alone: Sequence[float]) -> list[float]:
    """The evidence for each hit, with what its neighbours and its sequence add."""
    sequences: dict[tuple[str, str | int], list[int]] = defaultdict(list)
    for index, context in enumerate(contexts):
        if context.sequence is not None:
            sequences[context.sequence].append(index)
    together = list(alone)
    for members in sequences.values():
        if len(members) == 1:
            continue
        members.sort(key=lambda index: contexts[index].moment)
        best = max(alone[index] for index in members)
        for place, index in enumerate(members):
            together[index] += _BEST * best
            for share, other in zip(_NEIGHBOURS, members[place + 1 :], strict=False):
                together[index] += share * alone[other]
                together[other] += share * alone[index]
    return together


class _Said(NamedTuple):
    """What of a metadata text counts here; empty where it is not said, or not as text."""

    sequence: tuple[str, str] | None
    author: str
    time: str


def _context(found: Found, asked: Question, names: Callable[[str], bool]) -> _Context:
    assert found.stat is not None
    meta = found.meta_json
    sequence, author, time = _said(meta) if len(meta) <= _SHORT else _said.__wrapped__(meta)
    boost = _NAMED if author and names(author) else 1.0
    if time and asked.means(time):
        boost *= _DATED
    if sequence is None and time:
        return _Context((time[:10], found.parent), (time, found.stat.created_ns, found.stat.id), boost)
    return _Context(sequence, (time, found.stat.created_ns, found.stat.id), boost)


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


def _odds(score: float) -> float:
    score = min(score, _CERTAIN)
    return score / (1 - score)
