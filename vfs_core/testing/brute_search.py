"""A search backend that looks through everything: the search contract once more, and plain.

It keeps nothing but the store and its cursor, so it can never be out of date. For unit tests and as the
second implementation of the search suite; it reads every note for every query.
"""

# ruff: noqa: D102  # the contract (`vfs_core.search`) documents its methods

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vfs_core.follower import Progress
from vfs_core.journal import Cursor
from vfs_core.meta import tags_of
from vfs_core.path import split
from vfs_core.search import Match, SearchBackend, SearchQuery, SideContext
from vfs_core.storage import Found, Store
from vfs_core.types import Change, Kind, Node

_CHINESE = "\u3400-\u9fff"
_RUN = re.compile(rf"[{_CHINESE}]+|[^\W{_CHINESE}]+")


class BruteSearch(SearchBackend):
    """Finds the notes with any word of the query; a note scores by how many of the words it has."""

    name = "brute"

    def __init__(self, context: SideContext) -> None:
        super().__init__(context)
        self.writable = context.writable
        self._store: Store | None = None
        self._cursor: Cursor | None = None

    def search(self, query: SearchQuery) -> Iterator[Match]:
        wanted = _terms(query.text)
        matches = []
        for found in self._files(content=bool(wanted)):
            if (found.within, found.own) not in query.visible or not query.tags <= set(
                tags_of(found.meta_json)
            ):
                continue
            words = _words_of(found)
            hits = sum(any(_fits(word, term) for word in words) for term in wanted)
            if hits and found.stat is not None:
                matches.append(Match(found.stat.id, found.parent, hits / len(wanted)))
        yield from sorted(matches, key=lambda match: (-match.score, match.node))

    def snippet(self, text: str, query: str, width: int = 160) -> str:
        line = " ".join(text.split())
        starts = [line.casefold().find(term.rstrip("*")) for term in _terms(query)]
        first = min((start for start in starts if start >= 0), default=0)
        return line[max(0, min(first, len(line) - width)) :][:width]

    def indexed(self, nodes: Sequence[int]) -> set[int]:
        return {found.stat.id for found in self._files(content=False) if found.stat}.intersection(nodes)

    def documents(self) -> int:
        return len(self._files(content=False))

    def cursor(self) -> Cursor | None:
        return self._cursor

    def apply(self, changes: Sequence[Change], store: Store, cursor: Cursor) -> None:
        self._store, self._cursor = store, cursor

    def rebuild(self, store: Store, cursor: Cursor, progress: Progress | None = None) -> None:
        self._store, self._cursor = store, cursor

    def discard(self) -> None:
        self._store = self._cursor = None

    def close(self) -> None:
        self._store = self._cursor = None

    def _files(self, *, content: bool) -> list[Found]:
        if self._store is None:
            return []
        found = self._store.scan(limit=1_000_000, content=content)
        return [each for each in found if each.stat is not None and each.stat.kind is Kind.FILE]


def _words(text: str) -> set[str]:
    """Words without their case; of what is written without spaces, pairs of characters."""
    words: set[str] = set()
    for run in _RUN.findall(text.casefold()):
        pairs = {run[index : index + 2] for index in range(len(run) - 1)}
        words |= pairs if pairs and re.match(rf"[{_CHINESE}]", run) else {run}
    return words


def _terms(query: str) -> set[str]:
    """What a query looks for; a `*` after a word stays with it."""
    starred = {f"{word}*" for word in re.findall(rf"([^\W{_CHINESE}]+)\*", query.casefold())}
    return starred | (_words(query) - {term[:-1] for term in starred})


def _fits(word: str, term: str) -> bool:
    return word.startswith(term[:-1]) if term.endswith("*") else word == term


def _words_of(found: Found) -> set[str]:
    """The words of a note: of its content, its name and title, and its tags."""
    if found.stat is None:
        return set()
    node = Node(found.path, found.data, found.stat, found.meta_json)
    title = node.meta.get("title", "")
    return _words("\n".join((split(found.path)[1], str(title), *node.tags, node.text)))
