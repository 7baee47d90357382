"""When two texts say nearly the same: the share of their runs of three words that they have in common."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, TypeAlias

from avm_builtin.search import text as analyser

ALIKE = 0.7
"""Share of common runs of three words from which on two notes resemble each other."""
NEARLY = 0.99
"""The most that texts which are not equal are said to resemble each other."""
_ROUNDING = 1e-9

Shingles: TypeAlias = "frozenset[tuple[str, ...]]"


class Nearest(NamedTuple):
    """The text, by its number, that an other one resembles most, and how much."""

    number: int
    similarity: float


def shingles(text: str) -> Shingles:
    """The runs of three tokens in a text; of a shorter one the whole; none where there is no word."""
    found = analyser.tokens(text).split()
    if not found:
        return frozenset()
    return frozenset(tuple(found[at : at + 3]) for at in range(max(1, len(found) - 2)))


def similarity(mine: Shingles, theirs: Shingles) -> float:
    """The share of runs in common, in [0, 1]."""
    return len(mine & theirs) / len(mine | theirs) if mine and theirs else 0.0


def gather(texts: Sequence[Shingles], fixed: Sequence[bool]) -> list[Nearest | None]:
    """For each text the earlier one that it is absorbed by: the most alike of those that are not absorbed themselves.

    What is `fixed` is absorbed by none. Two sets that share `ALIKE` of their members have one in common among their
    rarest, so only those are looked up (the prefix filter of Chaudhuri, Ganti and Kaushik, 2006).
    """
    frequency = Counter(chain.from_iterable(texts))
    index: dict[tuple[str, ...], list[int]] = {}
    absorbed: list[Nearest | None] = []
    for number, mine in enumerate(texts):
        rarest = sorted(mine, key=lambda each: (frequency[each], each))
        rarest = rarest[: len(mine) - math.ceil(ALIKE * len(mine) - _ROUNDING) + 1]
        best: Nearest | None = None
        if not fixed[number]:
            for other in sorted({other for each in rarest for other in index.get(each, ())}):
                share = similarity(mine, texts[other])
                if share >= ALIKE and (best is None or share > best.similarity):
                    best = Nearest(other, share)
        absorbed.append(best)
        if best is None:
            for each in rarest:
                index.setdefault(each, []).append(number)
    return absorbed
