"""What one agent sees of the entries: which they are, and some of each scale that stand for all of it.

The scores of an answer are told against those few. Which ones they are depends on the notes alone: neither on the
order in which they came, nor on what others have.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from avm_builtin.vectors.scales import SAMPLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Numbers = NDArray[np.int64]
    Codes = NDArray[np.int32]
    Scores = NDArray[np.float32]

_ODD, _OTHER_ODD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


class Seen:
    """The entries that an agent sees, as of one moment."""

    def __init__(self, mask: Mask, scale: Codes, node: Numbers, start: Codes) -> None:
        """`mask` says which; the columns are those of all entries."""
        self.mask = mask
        self.entries: Numbers = np.flatnonzero(mask)
        self._scale, self._node, self._start = scale, node, start
        self._samples: dict[int, Numbers] = {}
        self._usual: dict[int, Scores] = {}
        self._lock = threading.Lock()

    def nodes(self) -> Numbers:
        """The nodes that they are of, in order."""
        nodes: Numbers = np.unique(self._node[self.entries])
        return nodes

    def sample(self, scale: int) -> Numbers:
        """Entries of a scale that are spread over all of it."""
        with self._lock:
            sample = self._samples.get(scale)
            if sample is None:
                sample = self._samples[scale] = self._drawn(scale)
            return sample

    def usual(self, scale: int) -> Scores:
        """For each entry how near it mostly is to those of a scale, mean and deviation; NaN until that is known."""
        with self._lock:
            known = self._usual.get(scale)
            if known is None:
                known = self._usual[scale] = np.full((len(self.mask), 2), np.nan, np.float32)
            return known

    def _drawn(self, scale: int) -> Numbers:
        """Those of the smallest hash: always the same ones of the same notes."""
        entries = self.entries[self._scale[self.entries] == scale]
        hashes = self._node[entries].astype(np.uint64) * _ODD
        hashes ^= self._start[entries].astype(np.uint64) * _OTHER_ODD
        hashes = (hashes ^ hashes >> np.uint64(29)) * _ODD
        if len(entries) > SAMPLE:
            few = np.argpartition(hashes, SAMPLE)[:SAMPLE]
            entries, hashes = entries[few], hashes[few]
        drawn: Numbers = entries[np.argsort(hashes, kind="stable")]
        return drawn
