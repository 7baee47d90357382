"""Keeps the links of the kind `mention` as the notes say: the follower that reads what is written.

- A mention is looked up for who wrote it, once: when it is found, it stays with that note, however that is renamed,
  until the text says otherwise or the note is gone. What is found to be nothing waits for a note of that name.
- Links are made as their author, who must be allowed to make them, and taken away by the system. Both are rows of
  the journal through a door of their own.
- It can be stopped anywhere: links are made before it is noted that they are, and making one again makes none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from avm_builtin.linking import tables
from avm_builtin.linking.reading import Run, files_of
from avm_builtin.search.side import Damaged, SideFile
from vfs_core import journal
from vfs_core.errors import NoSpace, StoreBusy
from vfs_core.follower import Follower, Progress
from vfs_core.journal import Cursor
from vfs_core.reactor import LINKS, FollowerContext, by_reactor
from vfs_core.storage import Store
from vfs_core.types import Change

if TYPE_CHECKING:
    import apsw

    from vfs_core.session import Session

_INERT = frozenset(
    {
        journal.INIT, journal.USER, journal.MKDIR, journal.SUDO, journal.PURGE, journal.BACKUP, journal.EXPORT,
        journal.FORGET, journal.MEND, journal.TIMES, journal.XATTR, journal.CHOWN, journal.LINK, journal.UNLINK,
    }
)  # fmt: skip
"""Operations that change neither what a note says nor what is found."""


class TextLinks(Follower):
    """Links from `[[names]]` and Markdown links."""

    name = LINKS

    def __init__(self, context: FollowerContext) -> None:
        side = context.side
        self.writable = side.writable
        self._store_uuid = side.store_uuid
        self._act_for = context.act_for
        self._sessions: dict[str, Session] = {}
        path = None if side.path is None else f"{side.path}.links.db"
        self._file = SideFile(
            path, tables.SCHEMA, tables.APPLICATION, tables.VERSION, writable=side.writable, mode=side.mode
        )

    def cursor(self) -> Cursor | None:
        """What was last committed; where there is nothing yet, the journal's beginning.

        So what has never been read is read like news, a batch at a time, and nobody waits for all of it.
        """
        with self._file.reading() as connection:
            held = None if connection is None else tables.cursor(connection)
        return held or Cursor(self._store_uuid, 0, b"")

    def apply(self, changes: Sequence[Change], store: Store, cursor: Cursor) -> None:
        """Read what has been written, and look for what has come."""
        operations: dict[int, set[str]] = defaultdict(set)
        for change in changes:
            if change.operation not in _INERT and not by_reactor(change):
                operations[change.node].add(change.operation)
        try:
            with self._file.writing() as connection:
                present = tables.cursor(connection)
                if present is None and store.changes(0, 1)[0].sequence == changes[0].sequence:
                    _learn_names(connection, store)
                    present = cursor
                if present is not None and present.store_uuid == cursor.store_uuid:
                    if operations:
                        Run(connection, store, self._session).take_in(operations)
                    tables.commit_cursor(connection, cursor)
                    return
        except Damaged:
            self._file.discard()
        # The file was thrown away since the caller looked.
        self.rebuild(store, cursor)

    def rebuild(self, store: Store, cursor: Cursor, progress: Progress | None = None) -> None:
        """Read every note anew."""
        try:
            self._rebuild(store, cursor, progress)
        except Damaged:
            self._file.discard()
            self._rebuild(store, cursor, progress)

    def _rebuild(self, store: Store, cursor: Cursor, progress: Progress | None) -> None:
        with self._file.writing() as connection:
            total = _learn_names(connection, store)
            done = 0
            for page in files_of(store):
                Run(connection, store, self._session).take_in_all(page)
                done += len(page)
                if progress is not None:
                    progress(done, max(done, total))
            tables.commit_cursor(connection, cursor)

    def discard(self) -> None:
        """Throw the file away; the links stay, and are compared with the texts when it is made anew."""
        self._file.discard()

    def scrub(self) -> bool:
        """Rewrite the file."""
        try:
            return self._file.scrub()
        except (Damaged, StoreBusy, NoSpace):
            return False

    def files(self) -> list[str]:
        """The side file and its WAL files."""
        return self._file.files()

    def vocabulary(self) -> str:
        """The words of the schema."""
        return tables.SCHEMA

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    def _session(self, agent: str) -> Session:
        session = self._sessions.get(agent)
        if session is None:
            session = self._sessions[agent] = self._act_for(agent)
        return session


def _learn_names(connection: apsw.Connection, store: Store) -> int:
    """Begin anew, with what all notes are called, so that what is read then finds them; returns how many there are."""
    tables.clear(connection)
    total = 0
    for page in files_of(store):
        total += len(page)
        for node, names in page.items():
            tables.set_keys(connection, node, tables.keys_of(names))
    return total
