"""One search as it goes on, page after page: who asks, and what was given already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import apsw

from avm_builtin.search import fts5, scoring
from avm_builtin.search.text import Term
from vfs_core.search import Match, SearchQuery

Row: TypeAlias = tuple[int, int, int, int, int, int, int, str]
"""A document: id, node, directory, class of the directory, own class, tokens of the body, all tokens, labels."""


class Running:
    """One search as it goes on: what was asked, who asks, and what was given already."""

    def __init__(self, query: SearchQuery, wanted: Sequence[Term]) -> None:
        self.wanted = wanted
        self._visible = query.visible
        self._labels = fts5.labels(query)
        self._allowed: dict[tuple[int, int], bool] = {}
        self._given: set[tuple[int, int]] = set()
        self._last = 1.0

    def sees(self, row: Row) -> bool:
        """Whether a document is visible and has all the tags."""
        classes = row[3], row[4]
        allowed = self._allowed.get(classes)
        if allowed is None:
            allowed = self._allowed[classes] = classes in self._visible
        return allowed and (not self._labels or all(label in row[7] for label in self._labels))

    def hidden(self, connection: apsw.Connection) -> frozenset[int]:
        """Directories in which nothing is visible, as far as that can be told without looking at documents."""
        visible = self._visible
        if visible.granted:
            return frozenset()
        entered = visible.open | {within for within, _ in visible.shared}
        rows: Iterator[tuple[int, int]] = connection.execute("SELECT id, within FROM directory")
        return frozenset(id for id, within in rows if within not in entered)

    def give(self, node: int, directory: int, bm25: float) -> Match | None:
        """The match, unless it was given before; its score no higher than the last one's."""
        place = node, directory
        if place in self._given:
            return None
        self._given.add(place)
        self._last = min(self._last, scoring.score(bm25))
        return Match(node, directory, self._last)
