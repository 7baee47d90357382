"""The search contract: an index that follows the journal and gives matches, best first.

A backend filters by visibility class *before* it cuts, so that what an agent cannot see never pushes
what it can out of the result. It yields lazily: the session checks each match against the store and
the rules, and takes more until it has enough.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vfs_core.follower import Follower
from vfs_core.types import JSON
from vfs_core.visibility import Visible


@dataclass(frozen=True)
class SearchQuery:
    """What is looked for.

    Any text is valid; text without a single word matches nothing. `limit` is how many matches the
    caller expects to take. Matches carry all of `tags`.
    """

    text: str
    visible: Visible
    limit: int = 10
    tags: frozenset[str] = frozenset()


class Match(NamedTuple):
    """A node that matches: its id, the directory of the name that was visible, a score in [0, 1]."""

    node: int
    directory: int
    score: float


@dataclass(frozen=True)
class SideContext:
    """Where a backend keeps its files, and what it is told at the start.

    `path` is the store's path without its ending: side files stand beside the database and begin
    with it (`avm.index.db`). None: keep everything in memory. `writable` says whether this process
    may write there. `mode` is the permission mode that new files get.
    """

    path: str | None
    store_uuid: str
    writable: bool = True
    mode: int = 0o600
    config: Mapping[str, JSON] = field(default_factory=dict)


class SearchBackend(Follower):
    """An index over the store's notes. Made with a SideContext; opens its files on first use.

    `rebuild` asks the store for no more than `scan`, `nodes` and `usage`: the past is searched by an index without
    files that is made of what there was (`vfs_core.retrospect`).
    """

    def __init__(self, context: SideContext) -> None:
        self.context = context

    @abstractmethod
    def search(self, query: SearchQuery) -> Iterator[Match]:
        """Matches that are visible, best first, until there are no more.

        A note matches by its body, name, title or tags, with any of the words. A hard-linked node comes once for
        each visible directory that it is in; the caller takes the first.
        """

    @abstractmethod
    def snippet(self, text: str, query: str, width: int = 160) -> str:
        """The part of `text` around the densest group of the query's words, on one line, at most `width` characters."""

    @abstractmethod
    def indexed(self, nodes: Sequence[int]) -> set[int]:
        """Which of the nodes are indexed."""

    @abstractmethod
    def documents(self) -> int:
        """How many documents are indexed."""

    def advice(self) -> str:
        """What would make searching better here, with what to type; empty if nothing."""
        return ""
