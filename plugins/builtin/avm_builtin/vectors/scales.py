"""Scores of one scale, made comparable with those of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PRIOR_WEIGHT = 10
_PRIOR_MEAN, _PRIOR_DEVIATION = 0.2, 0.1


def standardised(scores: NDArray[np.float32], sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standard deviations above the mean of the sample."""
    weight = len(sample) / (len(sample) + _PRIOR_WEIGHT)
    mean = weight * float(sample.mean()) + (1 - weight) * _PRIOR_MEAN
    deviation = weight * float(sample.std()) + (1 - weight) * _PRIOR_DEVIATION
    return (scores - mean) / deviation
