"""What a match scores: BM25 as SQLite's FTS5 has it, whichever tier the words are in, and a number in [0, 1) of it.

FTS5 computes it for its own documents alone. What is spread over two tiers is scored here, with the frequencies of
both: the same sum, so that the order of notes does not depend on where they are. Frequencies are those of all
documents, also of those that the agent does not see.
"""

from __future__ import annotations

import math

_K1, _B = 1.2, 0.75
"""FTS5's constants, which are tantivy's too."""
FLOOR_IDF = 1e-6
"""What FTS5 gives a word that over half of the notes have: all words, in a store of one or two notes."""
BRIEF = 5.0
"""Words of a body at which a third is taken off (half of it without any): BM25 takes a note of three words, one of them
asked for, to be about nothing else, while such notes mostly say little. Measured: +1.3 nDCG on short abstracts, +1 R@10
on dialogues, -0.2 on long abstracts."""
_HALF_SCORE = 8.0
"""The BM25 sum that is half way up: about two rare words of the query in one short note."""
_COMMON_SCORE = 0.05
"""Where matches by words alone that over half of the notes have end and others begin."""


def idf(documents: int, having: int) -> float:
    """What a word weighs that so many of the documents have."""
    return (
        max(math.log((documents - having + 0.5) / (having + 0.5)), FLOOR_IDF)
        if having < documents
        else FLOOR_IDF
    )


def tantivy_idf(documents: int, having: int) -> float:
    """What tantivy gives the same word."""
    return math.log(1 + (max(documents - having, 0) + 0.5) / (having + 0.5))


def saturation(times: int, size: int, average: float) -> float:
    """What it counts that a document of `size` tokens has a word so many times; about 1 for once in an average one."""
    return times * (_K1 + 1) / (times + _K1 * (1 - _B + _B * size / average))


def prior(length: int) -> float:
    """What the sum of a note whose body has so many words is multiplied by."""
    return (length + BRIEF) / (length + 2 * BRIEF)


def score(bm25: float) -> float:
    """A BM25 sum as a number in [0, 1): rising with it, and telling also where every word is common."""
    if bm25 < 100 * FLOOR_IDF:
        weight = bm25 / FLOOR_IDF
        return _COMMON_SCORE * weight / (weight + 2)
    return _COMMON_SCORE + (1 - _COMMON_SCORE) * bm25 / (bm25 + _HALF_SCORE)
