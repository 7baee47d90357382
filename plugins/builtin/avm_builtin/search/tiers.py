"""Searching an index in two tiers: the many documents that the engine holds, and the newest in the FTS5 table.

Both are scored alike (scoring.py). The engine gives its best by BM25 alone, which is fast; as the prior only lowers a
score, the last one's BM25 bounds all that are not among them, and what lies above it can be given. Where that does not
suffice, the engine computes the final scores of all that match, which takes longer. Visibility is looked up for each
hit, in the side file, in small portions and no further than the caller goes on.
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Collection, Generator, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import apsw

from avm_builtin.search import fts5, scoring, tables
from avm_builtin.search.engine import Engine
from avm_builtin.search.question import NO_HITS, Hits, Question
from avm_builtin.search.running import Row, Running
from avm_builtin.search.side import Damaged, SideFile, one_moment
from vfs_core.search import Match

_PORTION = 32
"""Hits whose rows are looked up at a time."""
_SMALLEST, _SHARE, _LARGEST = 180, 1000, 2000
"""A first page has so many hits, or such a part of what the engine holds: the more there are, the closer their scores
lie, and a page that does not suffice costs more than one that is larger than it need be."""
_ROWS = 50_000
"""Rows that are remembered."""

_MOMENT = """SELECT c.store_uuid, c.sequence, h.place, h.upto, h.stamp, h.documents, h.tokens,
    (SELECT count(*) FROM words_docsize) FROM cursor c CROSS JOIN held h"""
_LOOK_UP = """SELECT d.id, d.node, d.directory, p.within, d.own, d.length, d.size, d.labels
FROM json_each(?) h CROSS JOIN document d ON d.id = h.value CROSS JOIN directory p ON p.id = d.directory"""

_Candidate: TypeAlias = tuple[float, int, int]
"""The BM25 sum with its sign turned, node, directory: the least is the best."""


class _Page(NamedTuple):
    """What was asked of both tiers at one moment."""

    rows: dict[int, Row]
    newest: list[_Candidate]
    hits: Hits


_NOTHING = _Page({}, [], NO_HITS)


class Tiers:
    """Both tiers of one index."""

    def __init__(self, file: SideFile, engine: Engine, store_uuid: str) -> None:
        self._file = file
        self._engine = engine
        self._store_uuid = store_uuid
        self._moment: tuple[int, str, int] | None = None
        self._rows: dict[int, Row] = {}

    def page(self, search: Running, size: int, *, final: bool) -> Generator[Match, None, bool | None]:
        """Matches not yet given among the engine's `size` best and all of the newest; returns whether there are more.

        `final`: have the engine compute final scores. None is returned where the engine has gone.
        """
        page = self._ask(search, size, final)
        if page is None:
            return None
        rows, candidates, (ids, scores, rest) = page
        heapq.heapify(candidates)
        for start in range(0, len(ids), _PORTION):
            end = start + _PORTION
            self._look_up(ids[start:end], rows)
            for id, score in zip(ids[start:end], scores[start:end], strict=True):
                row = rows.get(id)
                if row is not None and search.sees(row):
                    heapq.heappush(candidates, (-score, row[1], row[2]))
            least = max(rest, scores[end]) if end < len(ids) else rest
            yield from _given(search, candidates, least)
        yield from _given(search, candidates, rest)
        return rest > 0

    def _ask(self, search: Running, size: int, final: bool) -> _Page | None:
        with self._file.reading() as connection:
            if connection is None:
                return _NOTHING
            with one_moment(connection):
                moment = connection.execute(_MOMENT).fetchone()
                if moment is not None and not moment[2]:
                    return None
                if moment is None or moment[0] != self._store_uuid:
                    return _NOTHING
                _, sequence, place, *counts, waiting = moment
                holding = tables.Held(place, *counts)
                if self._moment != (sequence, place, holding.stamp) or len(self._rows) > _ROWS:
                    self._moment, self._rows = (sequence, place, holding.stamp), {}
                rows = self._rows
                times = [fts5.times(connection, term) if waiting else [] for term in search.wanted]
                _load(connection, {id for each in times for id, _ in each}, rows)
                hidden = search.hidden(connection) if final else frozenset()
            try:
                snapshot = self._engine.snapshot(place, holding.stamp)
                question = Question(snapshot, search.wanted, [len(each) for each in times], waiting)
                if final:
                    hits = question.ranked(size, holding.upto, hidden)
                else:
                    most = min(holding.documents // _SHARE, _LARGEST)
                    hits = question.best(max(size, most, _SMALLEST), holding.upto)
            except Damaged:
                if tables.held(connection).place == place:
                    raise
                return self._ask(search, size, final)  # another process has made it anew meanwhile
        sums: dict[int, float] = defaultdict(float)
        average = max(holding.tokens, 1) / max(holding.documents, 1)
        for weight, each in zip(question.weights, times, strict=True):
            for id, count in each:
                sums[id] += weight * scoring.saturation(count, rows[id][6], average)
        newest = [
            (-value * scoring.prior(row[5]), row[1], row[2])
            for id, value in sums.items()
            if search.sees(row := rows[id])
        ]
        return _Page(rows, newest, hits)

    def _look_up(self, ids: Sequence[int], rows: dict[int, Row]) -> None:
        if any(id not in rows for id in ids):
            with self._file.reading() as connection:
                if connection is not None:
                    _load(connection, ids, rows)


def _given(search: Running, candidates: list[_Candidate], least: float) -> Iterator[Match]:
    """Take out and give the candidates of that score and above, best first."""
    while candidates and -candidates[0][0] >= least:
        badness, node, directory = heapq.heappop(candidates)
        match = search.give(node, directory, -badness)
        if match is not None:
            yield match


def _load(connection: apsw.Connection, ids: Collection[int], rows: dict[int, Row]) -> None:
    """Add the rows of these documents, as far as they are there."""
    missing = [id for id in ids if id not in rows]
    if missing:
        found: Iterator[Row] = connection.execute(_LOOK_UP, (json.dumps(missing),))
        rows.update((row[0], row) for row in found)
