"""Scores that mean something: how sure it is that the first hit is what was asked for."""

from __future__ import annotations

from collections.abc import Sequence


def scores(evidence: Sequence[float], words: Sequence[float], meaning: Sequence[float | None]) -> list[float]:
    """See the module."""
    return [each / (1 + each) for each in evidence]
