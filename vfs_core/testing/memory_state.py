"""What a `MemoryStore` keeps, and what can be asked of it: nodes, names, classes, links, users, journal."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vfs_core import journal
from vfs_core.errors import (
    Invalid,
)
from vfs_core.meta import EMPTY
from vfs_core.past import EXPIRED_UNSEEN, Trashed
from vfs_core.path import is_within, join, space_of, split
from vfs_core.storage import (
    Found,
)
from vfs_core.types import JSON, Change, Kind, Stat, User, Version
from vfs_core.visibility import DirectoryClass, NodeClass


@dataclass(frozen=True)
class MemoryNode:
    """A node without its names; a deleted one stays, without a name."""

    id: int
    kind: Kind
    who: NodeClass
    time_ns: int
    uid: int
    gid: int
    data: bytes = b""
    meta_json: str = EMPTY
    version: int = 0
    modified_ns: int = 0
    changed_ns: int = 0
    own: int = 0
    """Id of `who`."""
    inside: int = 0
    """Id of the class of what a directory contains."""
    expires_ns: int | None = None
    widened: int = 0
    """The row that last let more agents read it."""
    accessed_ns: int = 0
    device: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)

    def stat(self, links: int = 1) -> Stat:
        """What the contract shows of it."""
        return Stat(
            self.id,
            self.kind,
            self.who.mode,
            self.who.owner,
            self.who.group,
            len(self.data),
            self.version,
            self.modified_ns,
            self.changed_ns,
            self.time_ns,
            self.uid,
            self.gid,
            links,
            self.expires_ns,
            self.accessed_ns or self.modified_ns,
            self.device,
        )


class Deletion(NamedTuple):
    """How a node lost its name."""

    path: str
    directory: int
    within: int
    """Id of the class of its directory then."""
    sequence: int
    top: int
    """The node whose deletion it was part of."""
    by: str


class Row(NamedTuple):
    """A journal row with what proves it."""

    change: Change
    salt: bytes
    chain: bytes


@dataclass
class State:
    """Everything that a store keeps. Values are immutable, so a copy is a copy of the containers."""

    nodes: dict[int, MemoryNode] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    """Full path -> node id."""
    versions: dict[tuple[int, int], tuple[Version, bytes | None]] = field(default_factory=dict)
    """By node and version; the content is None where retention has dropped it."""
    links: dict[tuple[int, str, int], float] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    user_ids: dict[str, int] = field(default_factory=dict)
    classes: list[DirectoryClass | NodeClass] = field(default_factory=list)
    """The class of id n at n - 1."""
    class_ids: dict[str, int] = field(default_factory=dict)
    journal: list[Row] = field(default_factory=list)
    """The row of sequence n at n - 1."""
    since: dict[str, int] = field(default_factory=dict)
    """Full path -> the row that gave the name."""
    trash: dict[int, Deletion] = field(default_factory=dict)
    redacted: dict[int, bytes] = field(default_factory=dict)
    """Row -> commitment, of rows that have been forgotten."""

    def copy(self) -> State:
        """A state that can change without this one."""
        return State(
            dict(self.nodes),
            dict(self.names),
            dict(self.versions),
            dict(self.links),
            dict(self.users),
            dict(self.user_ids),
            list(self.classes),
            dict(self.class_ids),
            list(self.journal),
            dict(self.since),
            dict(self.trash),
            dict(self.redacted),
        )

    def at(self, path: str) -> MemoryNode | None:
        """The node at a path."""
        id = self.names.get(path)
        return None if id is None else self.nodes[id]

    def nearest(self, path: str) -> MemoryNode:
        """The nearest directory above a path that exists; the root's is the root."""
        while True:
            path = split(path)[0]
            node = self.at(path)
            if node is not None and node.kind is Kind.DIRECTORY:
                return node

    def find(self, path: str, *, content: bool = False, directory: bool = False) -> Found:
        """Resolve a name; `directory` fills the field of that name, for CREATE and DELETE."""
        node, nearest = self.at(path), self.nearest(path)
        sequence = len(self.journal)
        judged = nearest.own if directory else 0
        if node is None or (node.expires_ns is not None and node.expires_ns <= time.time_ns()):
            return Found(path, None, nearest.inside, 0, nearest.id, sequence, judged)
        data = node.data if content else b""
        links = sum(id == node.id for id in self.names.values())
        return Found(
            path,
            node.stat(links),
            nearest.inside,
            node.own,
            nearest.id,
            sequence,
            judged,
            node.meta_json,
            data,
        )

    def trashed(self, id: int) -> Trashed | None:
        """A deleted node."""
        deletion, node = self.trash.get(id), self.nodes.get(id)
        if node is not None and node.expires_ns is not None and node.expires_ns <= time.time_ns():
            for path in self.names_of(id):
                unseen = EXPIRED_UNSEEN + id
                return Trashed(path, node.stat(), node.own, unseen, node.expires_ns, node.who.owner)
        if deletion is None or node is None:
            return None
        time_ns = self.journal[deletion.sequence - 1].change.time_ns
        return Trashed(deletion.path, node.stat(), node.own, deletion.sequence, time_ns, deletion.by)

    def deleted(self, id: int) -> Trashed | None:
        """A deleted node, also one that was purged, unless it was forgotten."""
        rows = [row.change for row in self.journal if row.change.node == id]
        if not rows or rows[-1].operation != journal.DELETE or not rows[-1].path or self.names_of(id):
            return None
        change, node = rows[-1], self.nodes[id]
        by = node.who.owner if (change.details or {}).get(journal.EXPIRED) else change.agent
        return Trashed(change.path, node.stat(), node.own, change.sequence, change.time_ns, by)

    def below(self, path: str) -> list[str]:
        """The names at and below a path, each directory before what is in it."""
        return sorted(name for name in self.names if is_within(name, path))

    def names_of(self, id: int) -> list[str]:
        """The names of a node."""
        return sorted(path for path, node in self.names.items() if node == id)

    def user_id(self, name: str) -> int:
        """The number that stands for a name in commitments."""
        return self.user_ids.setdefault(name, len(self.user_ids) + 1)

    def class_id(self, value: DirectoryClass | NodeClass) -> int:
        """Intern a class."""
        key = type(value).__name__ + value.key()
        if key not in self.class_ids:
            self.classes.append(value)
            self.class_ids[key] = len(self.classes)
        return self.class_ids[key]

    def class_inside(self, path: str) -> DirectoryClass:
        """The class of what is in the directory at `path`, worked out from the root down."""
        inside = DirectoryClass()
        here = "/"
        for name in ("", *path.split("/")):
            here = join(here, name) if name else here
            if not name and here != "/":
                continue
            node = self.nodes[self.names[here]]
            inside = inside.enter(space_of(here), node.who)
        return inside

    def class_inside_of(self, directory: MemoryNode) -> DirectoryClass:
        """The stored class of what is in a directory."""
        value = self.classes[directory.inside - 1]
        assert isinstance(value, DirectoryClass)
        return value

    def commitment(self, change: Change, salt: bytes) -> bytes:
        """What a journal row adds to the chain."""
        if change.sequence in self.redacted:
            return self.redacted[change.sequence]
        return journal.commitment(
            salt,
            change.node,
            change.path,
            change.old_path,
            change.version,
            change.size,
            change.content_hash,
            self.user_id(change.agent),
            self.user_id(change.actor),
            change.door,
            None if change.details is None else json_text(change.details),
        )


def json_text(value: Mapping[str, JSON]) -> str:
    """The canonical text of a row's details. Raises Invalid."""
    try:
        return json.dumps(
            dict(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"the details of a journal row are no JSON: {error}") from None
