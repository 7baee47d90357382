"""The past of a store: names, contents and metadata as they were, and what has been deleted.

What a store answers here it answers to the system. Who may look back is decided by `vfs_core.hindsight`, with
what `widened` tells: another than the owner sees nothing from before a node was opened to more readers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vfs_core.types import Change, Stat, Version, as_datetime


class NameThen(NamedTuple):
    """A name in a directory at some moment, and the journal rows that gave it and took it away."""

    name: str
    node: int
    since: int
    until: int | None
    """None: it still is."""


EXPIRED_UNSEEN = 1 << 61
"""Added to the id of a node that has expired and nobody has come upon yet: its place in the trash."""


class Trashed(NamedTuple):
    """A node that is deleted, or has expired, and that `Transaction.restore` can bring back. `stat` is as it was."""

    path: str
    stat: Stat
    own: int
    """Id of its NodeClass."""
    sequence: int
    """The journal row that deleted it; EXPIRED_UNSEEN and more where there is none yet."""
    time_ns: int
    by: str
    """The agent that deleted it."""

    @property
    def deleted(self) -> str:
        """When it was deleted, ISO 8601, UTC."""
        return as_datetime(self.time_ns).isoformat()


@dataclass(frozen=True)
class Retention:
    """How much of the past is kept. Periods in nanoseconds."""

    replaced_ns: int
    """For how long after it was replaced a content is kept."""
    versions: int
    """How many of the newest versions of a node are kept however old."""
    deleted_ns: int
    """For how long a deleted node is kept."""


class Purged(NamedTuple):
    """What retention dropped."""

    contents: int
    nodes: int
    expired: int
    after: int | None
    """The node to go on after, if there may be more."""


_ROWS = 500
"""Rows of the journal that are fetched at a time."""


class Past(ABC):
    """Looks back. A moment is a journal sequence: what holds after that row and the others of its transaction."""

    @abstractmethod
    def sequence_at(self, time_ns: int) -> int:
        """The last row written at or before a time; 0 if there is none. A transaction's rows have one time."""

    @abstractmethod
    def name_at(self, directory: int, name: str, sequence: int) -> NameThen | None:
        """What a name in a directory (by node id, living or deleted) stood for at a moment."""

    @abstractmethod
    def names_at(self, directory: int, sequence: int, after: str = "", limit: int = 1000) -> list[NameThen]:
        """A page of the names that a directory had at a moment, above `after`, in binary order."""

    @abstractmethod
    def version_at(self, node: int, sequence: int) -> Version | None:
        """The version that was current at a moment."""

    @abstractmethod
    def superseded(self, node: int, version: int) -> int | None:
        """The row that replaced a version's content; None while it is current."""

    @abstractmethod
    def meta_at(self, node: int, sequence: int) -> str:
        """The metadata text at a moment."""

    @abstractmethod
    def stat(self, node: int) -> Stat | None:
        """A node as it is, or was when it was deleted."""

    @abstractmethod
    def widened(self, node: int, path: str | None) -> int:
        """The last row that opened to more readers the node, or (if it has a path) a directory above it."""

    @abstractmethod
    def purged_ns(self) -> int:
        """When retention last came to its end; until then, when the store was made."""

    @abstractmethod
    def trash(self, before: int | None = None, limit: int = 100, *, node: int | None = None) -> list[Trashed]:
        """Deleted and expired nodes that can be restored, last deleted first, deleted before a row."""

    @abstractmethod
    def deleted_at(self, path: str) -> list[Trashed]:
        """Nodes that were deleted at a path, last deleted first, also those that retention has purged since.

        Not those that were restored or forgotten.
        """

    def rows(
        self,
        before: int | None = None,
        *,
        since: int = 0,
        node: int | None = None,
        agent: str | None = None,
    ) -> Iterator[Change]:
        """All of `changes`, fetched page by page."""
        while True:
            page = self.changes(before, _ROWS, since=since, node=node, agent=agent)
            yield from page
            if len(page) < _ROWS:
                return
            before = page[-1].sequence

    @abstractmethod
    def changes(
        self,
        before: int | None = None,
        limit: int = 1000,
        *,
        since: int = 0,
        node: int | None = None,
        agent: str | None = None,
    ) -> list[Change]:
        """Journal rows below `before` and above `since`, newest first, of a node or an agent."""
