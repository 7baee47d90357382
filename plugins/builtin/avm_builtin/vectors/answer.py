"""The answer to one query: every part that an agent sees, by how much nearer it is than what else it sees.

Scores compare only among documents of one scale (`Embedder.scale`), so each scale is standardised by itself, against
the agent's own notes: what others have changes nothing. A backend that finds the nearest without comparing with all
is asked for each scale, and for more when more is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avm_builtin.vectors import hubs
from avm_builtin.vectors.products import products
from avm_builtin.vectors.scales import standardised, usual
from avm_builtin.vectors.seen import Seen
from avm_builtin.vectors.state import Entries
from vfs_core.semantic import Answer, Near

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Scores = NDArray[np.float32]

_FIRST, _GROWTH = 400, 8
"""Parts that are put in order at first, and how many times more then."""
_FEW = 5_000
"""Visible parts that are all compared, whatever the backend."""
_NONE = np.empty(0, np.int64)
_SHARE = 0.3
"""The share of the vectors from which on it is quicker to compare with all of them than to pick."""


class Compared(Answer):
    """An answer as of one moment."""

    def __init__(self, entries: Entries, query: Scores, seen: Seen, model: str, scale: str) -> None:
        """`seen` says which of the entries the agent sees, `model` is the fingerprint, `scale` that of the query."""
        self._of = entries
        self._model, self._query_scale = model, scale
        self._query = query
        self._seen = seen
        self._samples: dict[int, Scores] = {}
        self._all: Scores | None = None
        self._of_base = int(np.searchsorted(seen.entries, entries.base_count))
        """How many of those that the agent sees are of the base."""
        self._picks = self._of_base > _FEW

    def nearest(self) -> Iterator[Near]:
        """As the contract says."""
        given: set[int] = set()
        count = _FIRST
        while True:
            entries, scores, bound = self._best(count)
            nodes = self._of.node[entries]
            for entry, node, score in zip(entries.tolist(), nodes.tolist(), scores.tolist(), strict=True):
                if score < bound:
                    break  # one that was not picked may be nearer
                if node not in given:
                    given.add(node)
                    yield self._near(entry, score)
            if len(entries) >= len(self._seen.entries):
                return
            count *= _GROWTH

    def of(self, nodes: Sequence[int]) -> Mapping[int, Near]:
        """As the contract says."""
        entries = self._of.of_nodes(nodes)
        entries = entries[self._seen.mask[entries]]
        best: dict[int, Near] = {}
        for entry, score in zip(entries.tolist(), self._standard(entries).tolist(), strict=True):
            near = self._near(entry, score)
            known = best.get(near.node)
            if known is None or (-near.score, near.start) < (-known.score, known.start):
                best[near.node] = near
        return best

    def _near(self, entry: int, score: float) -> Near:
        of = self._of
        return Near(
            int(of.node[entry]), of.directories[of.directory[entry]], score,
            int(of.start[entry]), int(of.length[entry]),
        )  # fmt: skip

    # --- the best of all -------------------------------------------------------------------------

    def _best(self, count: int) -> tuple[Numbers, Scores, float]:
        """So many of the nearest entries, with those that are as near, or all; best first, of equals the older.

        The last number is what the others have at most.
        """
        picked = self._nearest_of_base(count) if self._picks else None
        if picked is None:
            candidates, bound = self._seen.entries, -math.inf
            if self._all is None:
                self._all = self._standard(candidates)
            scores = self._all
        else:
            candidates, bound = picked
            scores = self._standard(candidates)
        if count < len(candidates):
            least = -np.partition(-scores, count - 1)[count - 1]
            chosen = np.flatnonzero(scores >= least)
            candidates, scores = candidates[chosen], scores[chosen]
        order = np.lexsort((self._of.start[candidates], self._of.node[candidates], -scores))
        return candidates[order], scores[order], bound

    def _nearest_of_base(self, count: int) -> tuple[Numbers, float] | None:
        """The nearest entries of the base by scale, and all of the tail, and what score the others have at most.

        None if the backend does not pick.
        """
        base, row = self._of.base, self._of.row
        entries, late = np.split(self._seen.entries, [self._of_base])
        if base is None or count >= len(entries):
            return None
        found, bound = [late], -math.inf
        scales = self._of.scale[entries]
        for scale in np.unique(scales).tolist():
            of_scale = entries[scales == scale]
            among = np.zeros(self._of.base_rows, np.uint8)
            among[row[of_scale]] = 1
            with base.lock:
                picked = base.vectors.nearest(self._query.data, count, among.data)
            if picked is None:
                return None
            rows = np.sort(np.frombuffer(picked[0], np.int64))
            if len(rows) == count:
                bound = max(bound, self._at_most(scale, np.frombuffer(picked[1], np.float32)[-1:]))
            # Several entries may share a row.
            first = np.searchsorted(row[of_scale], rows)
            last = np.searchsorted(row[of_scale], rows, "right")
            if (last - first == 1).all():
                found.append(of_scale[first])
            else:
                found += [of_scale[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
        return np.concatenate(found), bound

    # --- scores ----------------------------------------------------------------------------------

    def _standard(self, entries: Numbers) -> Scores:
        """How far above what else the agent sees of the same scale these entries are."""
        raw = self._products(entries)
        result = np.empty(len(entries), np.float32)
        scales = self._of.scale[entries]
        for scale in np.unique(scales).tolist():
            those = scales == scale
            result[those] = self._of_scale(scale, entries[those], raw[those])
        return result

    def _of_scale(self, scale: int, entries: Numbers, raw: Scores) -> Scores:
        """The scores of entries of one scale, by their products."""
        scores = self._plain(scale, raw)
        questions = self._stand_ins(scale)
        if not len(questions):
            return scores
        result = hubs.alone(scores)
        near = np.flatnonzero(scores >= hubs.NEAR)
        if len(near):
            others = self._seen.sample(scale)[: hubs.SAMPLE]
            result[near] = hubs.mutual(
                scores[near], raw[near], self._usual(entries[near], questions),
                self._products(others), self._usual(others, questions),
            )  # fmt: skip
        return result

    def _plain(self, scale: int, raw: Scores) -> Scores:
        """How far above what else the agent sees of the scale some products are."""
        known = usual(self._model, self._query_scale, self._of.scales.get(scale, ""))
        return standardised(raw, self._sample(scale), known)

    def _at_most(self, scale: int, raw: Scores) -> float:
        """The score that a product can lead to."""
        plain = float(self._plain(scale, raw)[0])
        return hubs.at_most(plain) if len(self._stand_ins(scale)) else plain

    def _stand_ins(self, scale: int) -> Numbers:
        """Entries that stand for questions like this one, where notes of a scale are of another; none if too few."""
        own = [each for each, name in self._of.scales.items() if name == self._query_scale]
        if not own or own[0] == scale:
            return _NONE
        found = self._seen.sample(own[0])[: hubs.SAMPLE]
        enough = min(len(found), len(self._seen.sample(scale))) >= hubs.LEAST
        return found if enough else _NONE

    def _usual(self, entries: Numbers, questions: Numbers) -> NDArray[np.float32]:
        """How near entries mostly are to those that stand for questions; what is known is not computed again."""
        known = self._seen.usual(int(self._of.scale[questions[0]]))
        new = entries[np.isnan(known[entries, 0])]
        if len(new):
            known[new] = hubs.usual(self._vectors(new), self._vectors(questions))
        return known[entries]

    def _vectors(self, entries: Numbers) -> NDArray[np.float32]:
        """The vectors of entries."""
        rows = self._of.row[entries]
        late = rows >= self._of.base_rows
        result = np.empty((len(rows), self._of.tail.shape[1]), np.float32)
        result[late] = self._of.tail[rows[late] - self._of.base_rows]
        base = self._of.base
        if base is not None and not late.all():
            with base.lock:
                kept = base.vectors.rows(np.ascontiguousarray(rows[~late]).data)
                result[~late] = np.asarray(kept, np.float32)
        return result

    def _sample(self, scale: int) -> Scores:
        """The products of entries that stand for all that the agent sees of a scale."""
        sample = self._samples.get(scale)
        if sample is None:
            sample = self._samples[scale] = self._products(self._seen.sample(scale))
        return sample

    def _products(self, entries: Numbers) -> Scores:
        rows = self._of.row[entries]
        result = np.empty(len(entries), np.float32)
        late = rows >= self._of.base_rows
        if late.any():
            result[late] = self._of_tail(rows[late] - self._of.base_rows)
        if not late.all():
            result[~late] = self._of_base_rows(rows[~late])
        return result

    def _of_tail(self, rows: Numbers) -> Scores:
        tail = self._of.tail
        if len(rows) >= _SHARE * len(tail):
            return products(tail, self._query)[rows]
        return products(tail[rows], self._query)

    def _of_base_rows(self, rows: Numbers) -> Scores:
        base = self._of.base
        assert base is not None
        with base.lock:
            if len(rows) >= _SHARE * base.vectors.count:
                every = np.frombuffer(base.vectors.scores(self._query.data, None), np.float32)
                return every[rows]
            some = base.vectors.scores(self._query.data, np.ascontiguousarray(rows).data)
            return np.frombuffer(some, np.float32)
