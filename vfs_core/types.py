"""The values that cross boundaries: nodes, stats, entries, versions, changes, principals.

All are immutable: named tuples where they are made on a hot path (a fifth of the cost of a frozen
dataclass), frozen dataclasses elsewhere. Times are integers in nanoseconds since the epoch, sizes are bytes.
"""

from __future__ import annotations

import json
import stat as stat_bits
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Literal, NamedTuple, TypeAlias

JSON: TypeAlias = Any
"""A value that `json.dumps` accepts."""


class Kind(str, Enum):
    """What a node is."""

    FILE = "file"
    DIRECTORY = "dir"
    SYMLINK = "symlink"
    FIFO = "fifo"
    SOCKET = "socket"
    BLOCK = "block"
    CHARACTER = "char"

    def __str__(self) -> str:
        return self.value


FORMAT_BITS = {
    Kind.FILE: stat_bits.S_IFREG,
    Kind.DIRECTORY: stat_bits.S_IFDIR,
    Kind.SYMLINK: stat_bits.S_IFLNK,
    Kind.FIFO: stat_bits.S_IFIFO,
    Kind.SOCKET: stat_bits.S_IFSOCK,
    Kind.BLOCK: stat_bits.S_IFBLK,
    Kind.CHARACTER: stat_bits.S_IFCHR,
}


def as_datetime(time_ns: int) -> datetime:
    """Nanoseconds since the epoch as an aware UTC datetime (microsecond precision)."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, timezone.utc).replace(
        microsecond=time_ns // 1000 % 1_000_000
    )


class Stat(NamedTuple):
    """What is known of a node without its content.

    `id` is the inode: stable for the node's life and never reused (0 where a handler has none).
    `mode` holds the permission bits, set-id and sticky included, without the file type. `version`
    counts changes of content from 1. `accessed_ns` is what was set last (the time of change by default):
    reading does not move it.
    """

    id: int
    kind: Kind
    mode: int
    owner: str
    group: str
    size: int
    version: int
    modified_ns: int
    changed_ns: int
    created_ns: int
    uid: int = 0
    gid: int = 0
    links: int = 1
    expires_ns: int | None = None
    accessed_ns: int = 0
    device: int = 0
    """What a block or character node stands for: its device number."""

    @property
    def modified(self) -> datetime:
        """When the content last changed."""
        return as_datetime(self.modified_ns)

    @property
    def is_directory(self) -> bool:
        """Whether the node is a directory."""
        return self.kind is Kind.DIRECTORY

    @property
    def st_mode(self) -> int:
        """File type and permission bits together, as in `os.stat_result.st_mode`."""
        return FORMAT_BITS[self.kind] | self.mode


class Node(NamedTuple):
    """A file as it was read: content, metadata and stat, all of one moment.

    `meta_json` is the metadata as stored; `meta` parses it anew, so changing the result changes
    nothing else.
    """

    path: str
    data: bytes
    stat: Stat
    meta_json: str = "{}"
    notices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The content as UTF-8; what is not UTF-8 becomes U+FFFD."""
        return self.data.decode("utf-8", "replace")

    @property
    def meta(self) -> dict[str, JSON]:
        """The metadata: `title, tags, importance, author, source, time, session` and any other keys."""
        loaded: dict[str, JSON] = json.loads(self.meta_json)
        return loaded

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags, sorted."""
        return tuple(self.meta.get("tags", ()))

    @property
    def version(self) -> int:
        """How often the content has been committed, from 1."""
        return self.stat.version


class Entry(NamedTuple):
    """One name in a directory."""

    name: str
    path: str
    stat: Stat

    @property
    def is_directory(self) -> bool:
        """Whether the entry is a directory."""
        return self.stat.is_directory


class Version(NamedTuple):
    """One committed state of a node's content. `sequence` is its row in the journal."""

    path: str
    version: int
    sequence: int
    time_ns: int
    author: str
    size: int
    content_hash: bytes
    operation: str
    attributed: Mapping[str, JSON] | None = None
    """Of an imported version: `author`, `time_ns` and `change` as they were said to be where it came from."""
    door: str = ""
    """The front end that it came through."""

    @property
    def time(self) -> datetime:
        """When it was committed."""
        return as_datetime(self.time_ns)


class Draft(NamedTuple):
    """A file to be written: `meta` and `base_version` as in `Session.write`."""

    path: str
    content: bytes | str
    meta: Mapping[str, JSON] | None = None
    base_version: int | None = None


class Change(NamedTuple):
    """One row of the journal: who did what to which node, through which door.

    `old_path` is set for moves. `details` holds what the operation needs beyond the common fields
    (a share's grantee, a link's target, a mode), as JSON values.
    """

    sequence: int
    time_ns: int
    operation: str
    node: int
    path: str
    old_path: str | None
    version: int
    size: int
    content_hash: bytes | None
    agent: str
    actor: str
    door: str
    details: Mapping[str, JSON] | None = None


class Link(NamedTuple):
    """A typed, weighted link between two nodes, by their present paths."""

    source: str
    kind: str
    target: str
    weight: float = 1.0


SYMMETRIC_LINKS = frozenset({"peer", "related"})
"""Link kinds that show from both sides."""

LINK_KINDS = ("peer", "parent", "citation", "derived", "related", "supersedes")
"""The kinds that AVM itself uses; others are allowed."""

MENTION = "mention"
"""The kind of the links that follow from what a note says. Nobody makes or removes them but by writing."""

Access = Literal["r", "rw"]
"""What a share grants."""


class Origin(NamedTuple):
    """Who changes the store and through what; goes into the journal with each change.

    `agent` owns what is made, `actor` acted for it (the login that opened the session), `door` is
    the front end (`python`, `cli`, `fuse`, `mcp`, ...), `uid` and `gid` are stored for POSIX.
    """

    agent: str
    actor: str
    door: str
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class KeyScope:
    """What a session opened by a key may do: patterns of paths, operations, until when.

    An empty `paths` or `actions` means none. Rates are counted where keys are stored.
    """

    paths: tuple[str, ...]
    actions: frozenset[str]
    expires_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a session acts as. There is no session without one.

    `actor` is who opened it (the login, or the agent itself); `key` bounds it if a key did;
    `elevated_until_ns` is set while `sudo` is in force.
    """

    agent: str
    actor: str
    door: str = "python"
    owns_store: bool = False
    key: KeyScope | None = None
    elevated_until_ns: int = 0


@dataclass(frozen=True, slots=True)
class User:
    """An agent as stored or declared. `capabilities` None means the ordinary ones."""

    name: str
    groups: tuple[str, ...] = ()
    capabilities: frozenset[str] | None = None


class Hit(NamedTuple):
    """A search result as a caller gets it: score in [0, 1], best first."""

    path: str
    score: float
    snippet: str
    stat: Stat
    meta_json: str = "{}"
