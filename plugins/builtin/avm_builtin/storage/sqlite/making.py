"""Making nodes: directories, files, links and special nodes, and the first directories of a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from avm_builtin.storage.sqlite import (
    contents,
    rights,
)
from avm_builtin.storage.sqlite.rows import DIRECTORY, FILE, KINDS
from avm_builtin.storage.sqlite.unit import OWN, Place, Unit
from vfs_core import journal
from vfs_core.errors import (
    Exists,
    Invalid,
    IsADirectory,
    NotADirectory,
    NotFound,
)
from vfs_core.meta import EMPTY
from vfs_core.path import MEMORY, PATH_MAX, PRIVATE, SHARED, join, space_of, split
from vfs_core.storage import (
    Operation,
)
from vfs_core.types import JSON, Kind, Stat
from vfs_core.visibility import DirectoryClass


class New(NamedTuple):
    """A node that has just been made."""

    id: int
    visibility: int
    time_ns: int


_SETGID = 0o2000


def first_directories(unit: Unit) -> None:
    """Make the root and the fixed directories, in the transaction that makes the tables."""
    unit.cursor = unit.database.cursor()
    unit.run = unit.cursor.execute
    unit.start(0, journal.GENESIS)
    own = unit.classes.plain(unit.cursor, unit.origin.agent, unit.origin.agent, 0o777)
    within = unit.classes.intern(unit.cursor, DirectoryClass())
    insert_node(unit, "/", Place(1, "/", within, own), DIRECTORY, journal.INIT)
    unit.execute(
        "INSERT INTO directory (id, path, visibility, widened_sequence) VALUES (1, '/', ?, 1)", (within,)
    )
    for path in (MEMORY, PRIVATE, SHARED):
        _make_directory(unit, path, unit.nearest(split(path)[0]))


def mkdir(unit: Unit, path: str, *, parents: bool = False, exist_ok: bool = False) -> Stat:
    """See `Transaction.mkdir`."""
    row = unit.locate(path)
    if row is not None:
        unit.judge_taken(Operation.STAT, path, row)
        if exist_ok and row[1] == DIRECTORY:
            return unit.users.stat(row)
        raise Exists(f"{path} exists already")
    place = make_parents(unit, path, unit.judge_creation(path), parents)
    _make_directory(unit, path, place)
    return unit.users.stat(unit.require(path))


def make_parents(unit: Unit, path: str, place: Place, allowed: bool) -> Place:
    """Make the directories that are missing between `place` and `path`."""
    parent = split(path)[0]
    while place.path != parent:
        missing = join(place.path, _first_below(place.path, parent))
        if unit.locate(missing) is not None:
            raise NotADirectory(f"{missing} is not a directory")
        if not allowed:
            raise NotFound.at(parent)
        place = _make_directory(unit, missing, place)
    return place


def _make_directory(unit: Unit, path: str, place: Place) -> Place:
    node = insert_node(unit, path, place, DIRECTORY, journal.MKDIR)
    own = unit.classes.node(node.visibility, unit.cursor)
    above = unit.classes.directory(place.within, unit.cursor)
    within = unit.classes.intern(unit.cursor, above.enter(space_of(path), own))
    unit.execute(
        "INSERT INTO directory (id, path, visibility, widened_sequence) VALUES (?, ?, ?, ?)",
        (node.id, path, within, node.id),
    )
    return Place(node.id, path, within, node.visibility)


def insert_node(
    unit: Unit,
    path: str,
    place: Place,
    kind: int,
    operation: str,
    written: contents.Written | None = None,
    meta: str = EMPTY,
    *,
    details: Mapping[str, JSON] | None = None,
    device: int | None = None,
) -> New:
    """A new node under a name: its id is the sequence of its journal row."""
    name = space_of(path) or unit.origin.agent  # what is made in a private space belongs to its agent
    owner = unit.agent(name)
    mode, group, gid = _new_mode(path, kind), name, unit.origin.gid
    above = unit.classes.node(place.own, unit.cursor)
    if above.mode & _SETGID:
        group = above.group
        gid = unit.execute("SELECT gid FROM node WHERE id = ?", (place.id,))[0][0]
        mode |= _SETGID if kind == DIRECTORY else 0
    visibility = unit.classes.plain(unit.cursor, name, group, mode)
    content = written or contents.Written(0, b"", None)
    version = 1 if kind == FILE else 0
    unit.agent(unit.origin.actor)
    node = unit.sequence + 1
    now, _ = unit.journal(operation, node, path, version, content.size, content.hash or None, details=details)
    unit.execute(
        f"INSERT INTO node VALUES ({', '.join('?' * 23)})",
        (
            node, kind, mode, owner, unit.users.group_ids[group], content.size, version, now, now, now,
            unit.origin.uid, gid, 1, None, visibility, node, node, None, None, device,
            content.hash or None, meta, content.body,
        ),
    )  # fmt: skip
    unit.execute(
        "INSERT INTO name (directory, name, node) VALUES (?, ?, ?)", (place.id, split(path)[1], node)
    )
    unit.execute("UPDATE node SET modified_ns = ?1, changed_ns = ?1 WHERE id = ?2", (now, place.id))
    unit.touched += (node, place.id)
    return New(node, visibility, now)


def make_special(unit: Unit, path: str, kind: Kind, *, target: str = "", device: int = 0) -> Stat:
    """See `Transaction.make_special`."""
    row = unit.locate(path)
    if row is not None:
        unit.judge_taken(Operation.STAT, path, row)
        raise Exists(f"{path} exists already")
    place = unit.judge_creation(path)
    if kind in (Kind.FILE, Kind.DIRECTORY):
        raise Invalid(f"{path}: a {kind} is made by writing or mkdir")
    body = target.encode()
    if kind is Kind.SYMLINK and not (0 < len(body) < PATH_MAX and "\0" not in target):
        raise Invalid(f"{path}: the target of a symlink is 1 to {PATH_MAX - 1} bytes without NUL")
    if not 0 <= device < 2**63:
        raise Invalid(f"{path}: {device} is no device number")
    unit.charge(path, len(body), 1)
    place = make_parents(unit, path, place, False)
    operation = journal.SYMLINK if kind is Kind.SYMLINK else journal.MKNOD
    details: dict[str, JSON] = {"kind": str(kind), "device": device}
    written = contents.Written(len(body), b"", body)
    insert_node(unit, path, place, KINDS.index(kind), operation, written, details=details, device=device)
    return unit.users.stat(unit.require(path))


def hard_link(unit: Unit, source: str, new: str) -> Stat:
    """See `Transaction.hard_link`."""
    row = unit.require(source)
    unit.check(Operation.WRITE, unit.as_found(source, row))
    taken = unit.locate(new)
    if taken is not None:
        unit.judge_taken(Operation.STAT, new, taken)
        raise Exists(f"{new} exists already")
    place = unit.judge_creation(new)
    if row[1] == DIRECTORY:
        raise IsADirectory(f"{source} is a directory, which has one name")
    with unit.whole():
        place = make_parents(unit, new, place, False)
        rights.judge_widening(unit, source, row, place)
        rights.carry_widened(unit, row[0], source)
        now, sequence = unit.journal(journal.HARD_LINK, row[0], new, row[6], row[5], old_path=source)
        unit.execute(
            "INSERT INTO name (directory, name, node, since) VALUES (?, ?, ?, ?)",
            (place.id, split(new)[1], row[0], sequence),
        )
        unit.execute("UPDATE node SET links = links + 1, changed_ns = ? WHERE id = ?", (now, row[0]))
        unit.execute("UPDATE node SET modified_ns = ?1, changed_ns = ?1 WHERE id = ?2", (now, place.id))
        if rights.widens(unit, row, place):
            rights.widened(unit, row[0], row[1], sequence)
        unit.everything |= bool(unit.classes.node(row[OWN], unit.cursor).shares)
        unit.touched += (row[0], place.id)
    return unit.users.stat(unit.require(new))


def _first_below(directory: str, path: str) -> str:
    """The first name on the way from `directory` to `path` below it."""
    start = 1 if directory == "/" else len(directory) + 1
    return path[start:].partition("/")[0]


def _new_mode(path: str, kind: int) -> int:
    """What a new node gets: open to all in shared places, to its owner in private ones."""
    if space_of(path) is not None:
        return 0o700 if kind == DIRECTORY else 0o600
    return 0o777 if kind == DIRECTORY else 0o666
