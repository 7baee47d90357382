"""What file systems offer beyond whole files: parts of contents, links, special nodes, attributes, owners and times.

Companion of a session, like `vfs_core.finding`. Paths that providers serve have none of this. A symlink is text that a
door follows: mounts leave it to the operating system; reading here follows a relative one inside the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from vfs_core.errors import Invalid, IsADirectory, LinkLoop, Unsupported
from vfs_core.path import join, split
from vfs_core.storage import Operation, Snapshot
from vfs_core.types import JSON, Kind, Stat, Version

if TYPE_CHECKING:
    from vfs_core.session import Session

LINKS_MAX = 40
"""Symlinks that reading follows one after the other, as Linux does."""


def target_of(path: str, target: str) -> str:
    """The path that a symlink at `path` leads to. Raises Unsupported where that is outside of the memory."""
    if target.startswith("/"):
        raise Unsupported(f"{path} is a symlink to {target!r}: only relative ones are followed here")
    here = split(path)[0]
    for name in target.split("/"):
        if name == "..":
            here = split(here)[0]
        elif name not in ("", "."):
            here = join(here, name)
    return here


def follow(session: Session, path: str) -> str:
    """The path at which symlinks end. Raises LinkLoop, NotFound on the way, Unsupported."""
    for _ in range(LINKS_MAX):
        judge = session.judge
        found = judge.store.read_range(path, 0, 4096, judge.check_read)
        if found.stat is None or found.stat.kind is not Kind.SYMLINK:
            return path
        path = target_of(path, found.data.decode("utf-8", "replace"))
    raise LinkLoop(f"{path} leads through more than {LINKS_MAX} symlinks")


def refuse_special(path: str, stat: Stat) -> None:
    """Refuse to read what has no content of its own."""
    if stat.kind is Kind.DIRECTORY:
        raise IsADirectory(f"{path} is a directory")
    if stat.kind not in (Kind.FILE, Kind.SYMLINK):
        raise Unsupported(f"{path} is a {stat.kind}, which has no content")


def read_range(session: Session, path: str, offset: int, size: int) -> bytes:
    """A part of a file's content."""
    path = follow(session, path)
    judge = session.judge
    found = judge.store.read_range(path, offset, size, judge.check_read)
    assert found.stat is not None
    refuse_special(path, found.stat)
    return found.data


def write_range(session: Session, path: str, offset: int, data: bytes, snapshot: Snapshot | None) -> Version:
    """Put bytes at an offset."""
    with session.transaction() as transaction:
        return transaction.write_range(path, offset, data, snapshot=snapshot)


def truncate(session: Session, path: str, size: int, snapshot: Snapshot | None) -> Version:
    """Cut or extend."""
    with session.transaction() as transaction:
        return transaction.truncate(path, size, snapshot=snapshot)


def write_blocks(
    session: Session,
    path: str,
    blocks: Iterable[bytes],
    meta: Mapping[str, JSON] | None,
    base_version: int | None,
) -> Version:
    """Write what comes block by block."""
    with session.transaction() as transaction:
        return transaction.write_blocks(path, blocks, patch=meta, base_version=base_version)


def make_special(session: Session, path: str, kind: Kind, target: str, device: int) -> Stat:
    """Make a symlink, fifo, socket or device node."""
    with session.transaction() as transaction:
        return transaction.make_special(path, kind, target=target, device=device)


def read_link(session: Session, path: str) -> str:
    """The target of a symlink."""
    judge = session.judge
    found = judge.store.read_range(path, 0, 4096, lambda each: judge.check(Operation.STAT, each))
    if found.stat is None or found.stat.kind is not Kind.SYMLINK:
        raise Invalid(f"{path} is not a symlink")
    return found.data.decode("utf-8", "replace")


def hard_link(session: Session, source: str, new: str) -> Stat:
    """Give a node one more name."""
    with session.transaction() as transaction:
        return transaction.hard_link(source, new)


def attributes(session: Session, path: str) -> dict[str, bytes]:
    """The extended attributes of a node."""
    judge = session.judge
    found = judge.store.find(path)
    judge.check(Operation.READ, found)
    assert found.stat is not None
    return judge.store.attributes(found.stat.id)


def set_attribute(
    session: Session, path: str, name: str, value: bytes | None, create: bool, replace: bool
) -> None:
    """Set an extended attribute; None removes it."""
    with session.transaction() as transaction:
        if value is None:
            transaction.remove_attribute(path, name)
        else:
            transaction.set_attribute(path, name, value, create=create, replace=replace)


def set_times(session: Session, path: str, accessed_ns: int | None, modified_ns: int | None) -> Stat:
    """Set times."""
    with session.transaction() as transaction:
        return transaction.set_times(path, accessed_ns, modified_ns)


def set_posix_owner(session: Session, path: str, uid: int | None, gid: int | None) -> Stat:
    """Set the numbers of owner and group."""
    with session.transaction() as transaction:
        return transaction.set_posix_owner(path, uid, gid)
