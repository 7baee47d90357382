"""Products of vectors as standard deviations, so that they compare across languages, models and questions.

A multilingual model gives every text in the language of the question more than any translation, and one question
is near to everything where another is near to nothing. Both go away when a product is measured by what the products
of the same question with a sample of the agent's own notes of the same scale (`Embedder.scale`) are. Few notes say
little of what is usual, so what was measured for the model beforehand counts as so many notes more. Not here: which
notes are the sample; they are such as the agent may see, or the scores would tell of others' notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from avm_builtin.embedders.languages import ENGLISH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Products: TypeAlias = NDArray[np.float32]
    """Products of one question with vectors of documents, in one dimension."""

SAMPLE = 512
"""Documents of a scale that are enough of a sample: the mean is known to a twentieth of a deviation then."""
_WEIGHT = 5
"""How many notes of a sample what is usual counts as. Means differ between questions by half a deviation, which four
notes tell as well."""
_LEAST = 0.5
"""What the deviation of a sample is at the least, in usual ones: notes that are all alike make none of them near."""


class Usual(NamedTuple):
    """Mean and standard deviation of the products of questions with documents that have nothing to do with them."""

    mean: float
    deviation: float


_UNKNOWN = 0.08
"""The deviation with models that were not measured: most have between 0.05 and 0.1."""
_BOTH = "[multilingual-e5-small"
_E5 = "multilingual-e5-small"
_MINILM = "all-MiniLM-L6-v2"


def usual(fingerprint: str, question: str, document: str) -> Usual | None:
    """What is usual for the embedder of that fingerprint, between two scales; None: nobody has measured it.

    Measured on conversations, encyclopaedia and abstracts, English and Chinese (development data).
    """
    same = question == document
    if fingerprint.startswith(_BOTH):
        if same and question == ENGLISH:
            return Usual(0.19, 0.075)
        return Usual(0.164, 0.0032) if same else Usual(0.147, 0.0036)
    if fingerprint.startswith(_E5):
        return Usual(0.82, 0.016) if same else Usual(0.735, 0.018)
    if fingerprint.startswith(_MINILM):
        return Usual(0.08, 0.11)
    return None


def standardised(products: Products, sample: Products, known: Usual | None = None) -> Products:
    """By how many standard deviations each product is above what is usual for the question and this scale.

    `sample` are the products of the same question with other documents of the scale, or with the same ones; it may
    be empty. Without `known` the sample alone says what the mean is.
    """
    import numpy as np

    count = len(sample)
    mean = float(sample.mean()) if count else None
    if known is None:
        known = Usual(mean or 0.0, _UNKNOWN)
    if mean is None:
        mean = known.mean
    share = count / (count + _WEIGHT)
    centre = share * mean + (1 - share) * known.mean
    variance = float(sample.var()) if count else 0.0
    deviation = np.sqrt(share * variance + (1 - share) * known.deviation**2)
    result: Products = (products - centre) / max(float(deviation), _LEAST * known.deviation)
    return result
