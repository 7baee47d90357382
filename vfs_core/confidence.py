"""What the scores of hits mean: how sure it is that the first one is what was asked for.

Evidence is a sum without a top, and how much of it there is depends on the words of a question, so it does not compare
between questions. Its shape does: where the first hit stands out from the tenth and from the second it is the right one
nearly always; where ten are nearly alike, every third time, and more often where fifty are, because then the question
is a broad one that many notes answer. Not here: the order of the hits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# Round numbers that fit development data of seven kinds, for words, meaning and both; docs/search.md has how far off.
_FIRST = 5.0
_TENTH = 18.0
"""How much surer it is the less evidence the tenth hit has, as a share of the first's."""
_SECOND = 3.0
"""How much surer it is the further the second hit lies behind."""
_ALIKE = 0.33
"""How often the first hit is right where nothing tells the first ten apart."""
_BROAD, _FIFTIETH = 0.5, 0.35
"""How much more often, for what the fiftieth hit's share of the evidence is above so much."""
_LITTLE = 0.03
"""Evidence with which a hit is right half as often: a word or two that most notes have."""


def scores(evidence: Sequence[float], chance: float = 0.0) -> list[float]:
    """Scores in [0, 1] for evidence that falls: the first about the probability that this hit is right.

    The others are to the first as their evidence is: they tell hits of one question apart. `chance` is the evidence
    that a hit may have which has nothing to do with the question, where there are too few hits to show it.
    """
    if not evidence or evidence[0] <= 0:
        return [0.0] * len(evidence)
    best = evidence[0]

    def share(place: int) -> float:
        return evidence[place] / best if place < len(evidence) else 0.0

    tenth = max(share(min(9, len(evidence) - 1)) if len(evidence) > 1 else 0.0, min(1.0, chance / best))
    apart = _FIRST - _TENTH * tenth + _SECOND * (1 - share(1))
    alike = _ALIKE + _BROAD * max(0.0, share(49) - _FIFTIETH)
    sure = (alike + (1 - alike) / (1 + math.exp(-apart))) * best / (best + _LITTLE)
    return [sure * each / best for each in evidence]
