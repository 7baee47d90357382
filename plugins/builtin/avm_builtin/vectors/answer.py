"""The answer to one query: every part that an agent sees, by how much nearer it is than what else it sees.

Scores compare only among documents of one scale (`Embedder.scale`), so each scale is standardised by itself, against
the agent's own notes: what others have changes nothing. A backend that finds the nearest without comparing with all
is asked for each scale, and for more when more is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avm_builtin.vectors.scales import SAMPLE, standardised, usual
from avm_builtin.vectors.state import State
from vfs_core.semantic import Answer, Near

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Numbers = NDArray[np.int64]
    Scores = NDArray[np.float32]

_FIRST, _GROWTH = 400, 8
"""Parts that are put in order at first, and how many times more then."""
_FEW = 5_000
"""Visible parts that are all compared, whatever the backend."""
_SHARE = 0.3
"""The share of the base from which on it is quicker to compare with all of it than to pick."""


class Compared(Answer):
    """An answer as of one state; the state may go on, this stays as it was."""

    def __init__(self, state: State, query: Scores, seen: Mask, model: str, scale: str) -> None:
        """`seen` says which entries the agent sees, `model` is the fingerprint, `scale` that of the query."""
        self._state = state
        self._model, self._query_scale = model, scale
        self._query = query
        self._seen = seen
        self._entries: Numbers = np.flatnonzero(seen)
        self._node = state.column("node")
        self._start, self._length = state.column("start"), state.column("length")
        self._scale, self._row = state.column("scale"), state.column("row")
        self._directory = state.column("directory")
        self._samples: dict[int, Scores] = {}
        self._all: Scores | None = None
        base = int(np.searchsorted(self._entries, state.base_entries))
        self._picks = state.base is not None and base > _FEW

    def nearest(self) -> Iterator[Near]:
        """As the contract says."""
        given: set[int] = set()
        count = _FIRST
        while True:
            entries, scores = self._best(count)
            for entry, score in zip(entries.tolist(), scores.tolist(), strict=True):
                node = int(self._node[entry])
                if node not in given:
                    given.add(node)
                    yield self._near(entry, score)
            if len(entries) >= len(self._entries):
                return
            count *= _GROWTH

    def of(self, nodes: Sequence[int]) -> Mapping[int, Near]:
        """As the contract says."""
        entries = self._state.of_nodes(nodes)
        entries = entries[self._seen[entries]]
        best: dict[int, Near] = {}
        for entry, score in zip(entries.tolist(), self._standard(entries).tolist(), strict=True):
            near = best.get(int(self._node[entry]))
            if near is None or near.score < score:
                best[int(self._node[entry])] = self._near(entry, score)
        return best

    def _near(self, entry: int, score: float) -> Near:
        return Near(
            int(self._node[entry]), self._state.directory_of(int(self._directory[entry])), score,
            int(self._start[entry]), int(self._length[entry]),
        )  # fmt: skip

    # --- the best of all -------------------------------------------------------------------------

    def _best(self, count: int) -> tuple[Numbers, Scores]:
        """About so many of the nearest entries, or all, best first, of equals the older."""
        candidates = self._nearest_of_base(count) if self._picks else None
        if candidates is None:
            candidates = self._entries
            if self._all is None:
                self._all = self._standard(candidates)
            scores = self._all
        else:
            scores = self._standard(candidates)
        if count < len(candidates):
            chosen = np.argpartition(-scores, count)[:count]
            candidates, scores = candidates[chosen], scores[chosen]
        order = np.lexsort((candidates, -scores))
        return candidates[order], scores[order]

    def _nearest_of_base(self, count: int) -> Numbers | None:
        """The nearest entries of the base by scale, and all of the tail; None if the backend does not pick."""
        state = self._state
        assert state.base is not None
        entries = self._entries[: int(np.searchsorted(self._entries, state.base_entries))]
        late = self._entries[len(entries) :]
        if count >= len(entries):
            return None
        found = [late]
        for scale in np.unique(self._scale[entries]).tolist():
            of_scale = entries[self._scale[entries] == scale]
            among = np.zeros(state.base_rows, np.uint8)
            among[self._row[of_scale]] = 1
            picked = state.base.vectors.nearest(self._query.data, count, among.data)
            if picked is None:
                return None
            rows = np.sort(np.frombuffer(picked[0], np.int64))
            # Several entries may share a row.
            first, last = (
                np.searchsorted(self._row[of_scale], rows),
                np.searchsorted(self._row[of_scale], rows, "right"),
            )
            if (last - first == 1).all():
                found.append(of_scale[first])
            else:
                found += [of_scale[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
        return np.concatenate(found)

    # --- scores ----------------------------------------------------------------------------------

    def _standard(self, entries: Numbers) -> Scores:
        """How far above what else the agent sees of the same scale these entries are."""
        raw = self._products(entries)
        result = np.empty(len(entries), np.float32)
        scales = self._scale[entries]
        for scale in np.unique(scales).tolist():
            those = scales == scale
            known = usual(self._model, self._query_scale, self._state.scales.get(scale, ""))
            result[those] = standardised(raw[those], self._sample(scale), known)
        return result

    def _sample(self, scale: int) -> Scores:
        """The products of entries of a scale that are spread over all that the agent sees."""
        sample = self._samples.get(scale)
        if sample is None:
            of_scale = self._entries[self._scale[self._entries] == scale]
            step = max(1, len(of_scale) // SAMPLE)
            sample = self._samples[scale] = self._products(of_scale[::step])
        return sample

    def _products(self, entries: Numbers) -> Scores:
        state = self._state
        rows = self._row[entries]
        result = np.empty(len(entries), np.float32)
        late = rows >= state.base_rows
        if late.any():
            tail = rows[late] - state.base_rows
            if len(tail) >= _SHARE * len(state.tail):
                result[late] = (state.tail @ self._query)[tail]
            else:
                result[late] = state.tail[tail] @ self._query
        if state.base is not None and not late.all():
            wanted = rows[~late]
            if len(wanted) >= _SHARE * state.base_rows:
                result[~late] = np.frombuffer(state.base.vectors.scores(self._query.data, None), np.float32)[
                    wanted
                ]
            else:
                picked = state.base.vectors.scores(self._query.data, np.ascontiguousarray(wanted).data)
                result[~late] = np.frombuffer(picked, np.float32)
        return result
