"""Where a note goes that is archived: into the `archive` of its namespace, to where the same agents may read it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from avm_builtin.memory.namespaces import ARCHIVE, namespace_of
from vfs_core.path import join, split
from vfs_core.storage import Operation

if TYPE_CHECKING:
    from avm_builtin.memory.consolidation.notes import Note
    from vfs_core.session import Session


class Places:
    """Finds free names in archives, each once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._given: set[str] = set()

    def place(self, note: Note) -> str:
        """Where a note is archived: as high in its namespace as the same agents may enter, with its path below."""
        store, namespace = self._session.judge.store, namespace_of(note.path)
        top = split(note.path)[0]
        while top != namespace:
            here, above = store.find(top), store.find(split(top)[0])
            if here.within != note.found.within or not self._session.judge.allows(Operation.WRITE, above):
                break
            top = above.path
        below = note.path[len(top.rstrip("/")) + 1 :]
        for path in _numbered(join(join(top, ARCHIVE), below)):
            if path not in self._given and store.find(path).stat is None:
                self._given.add(path)
                return path
        raise AssertionError("names with a number never end")


def _numbered(path: str) -> Iterator[str]:
    yield path
    stem, dot, ending = path.rpartition(".")
    for number in count(2):
        yield f"{stem}_{number}{dot}{ending}"
