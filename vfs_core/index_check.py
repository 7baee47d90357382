"""Whether an index has the notes of the store, and nothing else: what `avm doctor` asks of it.

Others may write meanwhile, so what looks wrong is looked at again once the index has caught up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from vfs_core.follower import Runner
from vfs_core.search import SearchBackend
from vfs_core.semantic import SemanticIndex
from vfs_core.storage import Store
from vfs_core.types import Kind

Index: TypeAlias = SearchBackend | SemanticIndex

_PAGE = 500
_IDS = 5000
_PATIENCE = 60.0
"""Seconds that the index may take to catch up."""


class IndexErrors(NamedTuple):
    """Nodes that the index should have and has not, and the other way round."""

    missing: frozenset[int]
    surplus: frozenset[int]

    def __bool__(self) -> bool:
        return bool(self.missing or self.surplus)


def index_errors(runner: Runner[Index], most: int = 10_000) -> IndexErrors:
    """Compare an index, by the runner that keeps it up, with its store.

    Of a store of more than `most` nodes so many are looked for that are spread over it. What the index should not
    have is looked for throughout.
    """
    store, index = runner.store, runner.follower
    runner.catch_up(_PATIENCE)
    missing, surplus = _missing(store, index, most), _surplus(store, index)
    if missing or surplus:
        runner.catch_up(_PATIENCE)
        missing = _files(store, missing) - index.indexed(sorted(missing))
        surplus = _gone(store, index.indexed(sorted(surplus)))
    return IndexErrors(frozenset(missing), frozenset(surplus))


def _missing(store: Store, index: Index, most: int) -> set[int]:
    last = store.head().sequence
    pages = max(1, most // _PAGE)
    missing: set[int] = set()
    after = 0
    for page in range(pages):
        found = store.scan(after, _PAGE)
        if not found:
            break
        files = {each.stat.id for each in found if each.stat is not None and each.stat.kind is Kind.FILE}
        missing |= files - index.indexed(sorted(files))
        ids = [each.stat.id for each in found if each.stat is not None]
        after = max(*ids, last * (page + 1) // pages if last > most else 0)
    return missing


def _surplus(store: Store, index: Index) -> set[int]:
    """Every node is numbered by a row of the journal, so these are all numbers that there can be."""
    surplus: set[int] = set()
    for start in range(1, store.head().sequence + 1, _IDS):
        surplus |= _gone(store, index.indexed(range(start, start + _IDS)))
    return surplus


def _files(store: Store, nodes: Iterable[int]) -> set[int]:
    """Those that are files now."""
    found = store.nodes(sorted(nodes))
    return {each.stat.id for each in found if each.stat is not None and each.stat.kind is Kind.FILE}


def _gone(store: Store, nodes: set[int]) -> set[int]:
    """Those that are no files, or deleted. What has expired may be indexed until it is purged."""
    gone = set()
    for node in nodes - _files(store, nodes):
        stat = store.past.stat(node)
        if stat is None or stat.kind is not Kind.FILE or not stat.links:
            gone.add(node)
    return gone
