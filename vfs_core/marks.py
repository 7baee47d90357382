"""How far an agent has read a note, and what has changed since.

A mark is a version, kept by the store for a reader: an agent, or one of its sessions where it names one. It shows
nothing by itself: what an agent may see of the version that it stands for is asked anew each time (`hindsight`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vfs_core.errors import Invalid, NotFound, VersionGone
from vfs_core.hindsight import unified
from vfs_core.storage import Operation
from vfs_core.types import Node

if TYPE_CHECKING:
    from vfs_core.session import Session

_SESSION = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CONTEXT = 1
"""Unchanged lines around a change."""


@dataclass(frozen=True)
class Delta:
    """What a note says now and did not when it was last read up to a mark.

    `since` is the version that is compared with: 0 where nothing was read yet, or what was read is not kept any more,
    or may not be seen any more; then all of the note is new. `diff` is empty if nothing has changed.
    """

    path: str
    node: int
    version: int
    time_ns: int
    since: int
    diff: str


def delta(session: Session, path: str, part: str = "") -> Delta:
    """What has changed since the mark of this agent, or of its session `part`. Moves no mark."""
    node = _note(session, path)
    since = session.store.mark(_reader(session, part), node.stat.id)
    before = b""
    try:
        if since:
            before = session.as_of(node.path, version=since).data
    except (NotFound, VersionGone):
        since = 0
    versions = session.history(node.path, 1, before=node.version + 1)
    time_ns = versions[0].time_ns if versions else node.stat.modified_ns
    diff = unified(before, node.data, f"v{since}", f"v{node.version}", _CONTEXT)
    return Delta(node.path, node.stat.id, node.version, time_ns, since, diff)


def position(session: Session, path: str, part: str = "") -> int:
    """The version up to which this agent has read a note; 0 if none."""
    return session.store.mark(_reader(session, part), _note(session, path).stat.id)


def move(session: Session, path: str, version: int | None, part: str = "") -> None:
    """Set the mark to a version, to the present one (None), or to nothing (0). Raises Invalid, ReadOnly."""
    node = _note(session, path)
    wanted = node.version if version is None else version
    if wanted > node.version:
        raise Invalid(f"{node.path} has no version {wanted}; the present one is {node.version}")
    session.kernel.writable_store().set_mark(_reader(session, part), node.stat.id, wanted)


def read_to(session: Session, shown: Delta, part: str = "") -> None:
    """Move the mark on to what was shown, unless it is further on already."""
    store = session.kernel.writable_store()
    store.set_mark(_reader(session, part), shown.node, shown.version, forward=True)


def _note(session: Session, path: str) -> Node:
    """The note at a path, which must be in the store: only there are versions."""
    session.require_stored(path, Operation.READ)
    return session.read(path)


def _reader(session: Session, part: str) -> str:
    if part and not _SESSION.fullmatch(part):
        raise Invalid(f"a session's name is 1 to 64 letters, digits, '.', '_' and '-', not {part!r}")
    return f"{session.principal.agent}/{part}" if part else session.principal.agent
