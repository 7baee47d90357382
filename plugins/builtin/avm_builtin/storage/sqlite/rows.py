"""From rows to values: the column lists, and what they become."""

from __future__ import annotations

import json
from collections.abc import Callable

from avm_builtin.storage.sqlite.connection import Database, Row
from vfs_core import journal
from vfs_core.errors import CorruptStore
from vfs_core.storage import Found
from vfs_core.types import Change, Kind, Stat, User, Version

KINDS = (Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK, Kind.FIFO, Kind.SOCKET, Kind.BLOCK, Kind.CHARACTER)
"""Node kinds by their stored number."""
FILE, DIRECTORY = 0, 1

STAT = """n.id, n.kind, n.mode, n.owner, n."group", n.size, n.version, n.modified_ns, n.changed_ns,
    n.created_ns, n.uid, n.gid, n.links, n.expires_ns, ifnull(n.accessed_ns, n.modified_ns), ifnull(n.device, 0),
    n.visibility, n.meta"""
"""Columns of `node n` that `Names.stat` takes (the first 16), then the node class and the metadata."""

STAT_WIDTH = 18


class Names:
    """The names of users and groups by id, and back; read from the database when one is new."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.users: dict[int, str] = {}
        self.groups: dict[int, str] = {}
        self.user_ids: dict[str, int] = {}
        self.group_ids: dict[str, int] = {}

    def refresh(self, run: Callable[[str], list[Row]] | None = None) -> None:
        """Read all of them anew, by `run` where uncommitted ones count."""
        rows = run or self._database.rows
        self.users = dict(rows("SELECT id, name FROM user"))
        self.groups = dict(rows('SELECT id, name FROM "group"'))
        self.user_ids = {name: id for id, name in self.users.items()}
        self.group_ids = {name: id for id, name in self.groups.items()}

    def stat(self, row: Row) -> Stat:
        """A Stat from a row that begins with the columns STAT."""
        # On the path of every read: Stat(...), or (..., *row[5:16]), would take twice the time.
        try:
            head = row[0], KINDS[row[1]], row[2], self.users[row[3]], self.groups[row[4]]
        except (KeyError, IndexError):
            self.refresh()
            if row[3] not in self.users or row[4] not in self.groups or not 0 <= row[1] < len(KINDS):
                raise CorruptStore(f"node {row[0]} has an unknown owner or kind; type: avm doctor") from None
            head = row[0], KINDS[row[1]], row[2], self.users[row[3]], self.groups[row[4]]
        return tuple.__new__(Stat, head + row[5:16])

    def user(self, id: int) -> str:
        """The name of a user id."""
        if id not in self.users:
            self.refresh()
        return self.users.get(id, "?")


JOURNAL = """sequence, time_ns, operation, node, path, old_path, version, size, hash, agent, actor, door,
    details"""


def change_from(row: Row, names: Names) -> Change:
    """A Change from the columns JOURNAL."""
    details = json.loads(row[12]) if row[12] else None
    sequence, time_ns, operation, node, path, old_path, version, size, content_hash, agent, actor, door = row[
        :12
    ]
    return Change(
        sequence, time_ns, operation, node, path, old_path, version, size, content_hash, names.user(agent),
        names.user(actor), door, details,
    )  # fmt: skip


def version_from(row: Row, names: Names) -> Version:
    """A Version from the columns JOURNAL of a row that committed content."""
    said = json.loads(row[12]).get(journal.ATTRIBUTED) if row[12] and journal.ATTRIBUTED in row[12] else None
    return Version(
        row[4], row[6], row[0], row[1], names.user(row[9]), row[7], row[8] or b"", row[2], said, row[11]
    )


def user_from(name: str, capabilities: str | None, groups: list[str]) -> User:
    """A User from its row and its groups."""
    held = None if capabilities is None else frozenset(json.loads(capabilities))
    return User(name, tuple(sorted(groups)), held)


def absent(path: str, sequence: int, within: int = 0, parent: int = 0, directory: int = 0) -> Found:
    """A name that is not there."""
    return Found(path, None, within, 0, parent, sequence, directory)
