"""Summaries made of sentences of the notes themselves: no language model, and nothing that no note says.

SumBasic (Nenkova and Vanderwende, 2005): the sentence is taken whose words the notes use most on average, then its
words count for less, so that the next one says something else.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from avm_builtin.memory.sentences import sentences
from avm_builtin.search import text as analyser
from vfs_core.summarising import Sentence, Summariser

_SENTENCES = 5000
"""Sentences that are looked at, those of the first texts."""
_HEADING = re.compile(r"^#{1,6}\s.*$", re.MULTILINE)
"""Says what a note is about, and nothing of it; taken only where there is nothing else."""
_FEW_WORDS = 4
"""Words below which a sentence (a heading, a greeting) counts as if it had so many."""


class _Candidate(NamedTuple):
    source: int
    order: int
    text: str
    words: frozenset[str]


class ExtractiveSummariser(Summariser):
    """Chooses sentences. Works for every language that the search analyses."""

    def summarise(self, texts: Sequence[str], budget: int) -> list[Sentence]:
        """The sentences that say most of what the texts have in common, by text and in their order."""
        waiting = list(_candidates(texts))
        weights = _weights(waiting)
        chosen: list[_Candidate] = []
        room = budget
        while True:
            waiting = [each for each in waiting if len(each.text) <= room]
            if not waiting:
                break
            best = max(waiting, key=lambda each: (_worth(each, weights), -each.source, -each.order))
            chosen.append(best)
            room -= len(best.text)
            for word in best.words:
                weights[word] **= 2
            waiting = [each for each in waiting if not each.words <= best.words]
        return [Sentence(each.text, each.source) for each in sorted(chosen)]


def _candidates(texts: Sequence[str]) -> list[_Candidate]:
    found: list[_Candidate] = []
    for source, text in enumerate(texts):
        body = _HEADING.sub("", text)
        for order, sentence in enumerate(sentences(body if body.strip() else text)):
            words = frozenset(analyser.tokens(sentence).split()) - analyser.STOP_WORDS
            if words:
                found.append(_Candidate(source, order, sentence, words))
            if len(found) == _SENTENCES:
                return found
    return found


def _weights(candidates: Sequence[_Candidate]) -> dict[str, float]:
    """How likely each word is in a sentence."""
    counts = Counter(word for each in candidates for word in each.words)
    total = sum(counts.values())
    return {word: count / total for word, count in counts.items()}


def _worth(candidate: _Candidate, weights: dict[str, float]) -> float:
    # fsum: a set has no order of its own, and the last digit of a plain sum depends on it.
    return math.fsum(weights[word] for word in candidate.words) / max(len(candidate.words), _FEW_WORDS)
