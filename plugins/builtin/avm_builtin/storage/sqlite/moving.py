"""Moving nodes, directories and everything that begins alike."""

from __future__ import annotations

from avm_builtin.storage.sqlite import (
    making,
    removing,
    rights,
    trash,
)
from avm_builtin.storage.sqlite.classes import refresh_tree
from avm_builtin.storage.sqlite.connection import Row
from avm_builtin.storage.sqlite.rows import DIRECTORY
from avm_builtin.storage.sqlite.unit import OWN, PARENT, Place, Unit
from vfs_core import journal
from vfs_core.errors import (
    Exists,
    Invalid,
    IsADirectory,
    NameTooLong,
    NotADirectory,
    NotFound,
)
from vfs_core.path import NAME_MAX, PATH_MAX, is_within, join, split
from vfs_core.storage import (
    Found,
    Moved,
    Operation,
)


def rename(unit: Unit, old: str, new: str, *, replace: bool = False) -> Moved:
    """See `Transaction.rename`."""
    row = unit.require(old)
    unit.check(Operation.DELETE, unit.as_found(old, row, unit.nearest(split(old)[0]).own))
    target = None if old == new else unit.locate(new)
    place = unit.nearest(split(new)[0])
    if target is None:
        unit.check(Operation.CREATE, Found(new, None, place.within, 0, place.id, unit.sequence, place.own))
    else:
        unit.judge_taken(Operation.DELETE if replace else Operation.STAT, new, target, place.own)
    unit.refuse_fixed(old, "moved")
    if old == new or (target is not None and target[0] == row[0]):
        return Moved(0, unit.sequence)  # POSIX: nothing, where both are names of one node
    if is_within(new, old):
        raise Invalid(f"{old} cannot be moved into itself ({new})")
    if row[1] == DIRECTORY and len(new) > len(old):
        _refuse_too_long(unit, old, new)
    with unit.whole():
        if target is not None:
            _make_way(unit, old, row, new, target, replace)
        place = making.make_parents(unit, new, place, True)
        rights.judge_widening(unit, old, row, place)
        _move(unit, old, row, new, place)
    return Moved(1, unit.sequence, ((old, new),))


def rename_prefix(unit: Unit, old: str, new: str) -> Moved:
    """See `Transaction.rename_prefix`."""
    directory, start = split(old)
    target, new_start = split(new)
    source = unit.execute("SELECT id FROM directory WHERE path = ?", (directory,))
    names = (
        unit.execute(
            "SELECT name FROM name WHERE directory = ? AND name >= ? AND substr(name, 1, ?) = ? ORDER BY name",
            (source[0][0], start, len(start), start),
        )
        if source
        else []
    )
    if not start:
        names = [row for row in names if row[0]]
    moved: list[tuple[str, str]] = []
    with unit.whole():
        for (name,) in names:
            path, to = join(directory, name), join(target, new_start + name[len(start) :])
            try:
                unit.check(Operation.STAT, unit.as_found(path, unit.require(path)))
            except NotFound:
                continue  # it does not exist for this agent
            rename(unit, path, to)
            moved.append((path, to))
    return Moved(len(moved), unit.sequence, tuple(moved))


def _refuse_too_long(unit: Unit, old: str, new: str) -> None:
    """Refuse a move that would push what is below a directory over PATH_MAX."""
    longest = unit.execute(
        "SELECT max(octet_length(path)) FROM directory WHERE path = ?1 OR (path > ?2 AND path < ?3)",
        (old, old + "/", old + "0"),
    )[0][0]
    if longest + len(new.encode()) - len(old.encode()) + 1 + NAME_MAX > PATH_MAX:
        raise NameTooLong(f"paths below {new} would be over {PATH_MAX} bytes")


def _make_way(unit: Unit, old: str, row: Row, new: str, target: Row, replace: bool) -> None:
    """Remove what stands at the target of a rename, as POSIX allows."""
    if not replace:
        raise Exists(f"{new} exists already")
    unit.refuse_fixed(new, "replaced")
    if target[1] == DIRECTORY and row[1] != DIRECTORY:
        raise IsADirectory(f"{new} is a directory and {old} is not")
    if target[1] != DIRECTORY and row[1] == DIRECTORY:
        raise NotADirectory(f"{new} is not a directory and {old} is")
    removing.remove(unit, new, target, False, target[0])


def _move(unit: Unit, old: str, row: Row, new: str, place: Place) -> None:
    node = row[0]
    widens = rights.widens(unit, row, place)
    rights.carry_widened(unit, node, old)
    now, sequence = unit.journal(journal.RENAME, node, new, row[6], row[5], old_path=old)
    trash.keep_name(unit.cursor, row[PARENT], split(old)[1], sequence)
    unit.execute(
        "UPDATE name SET directory = ?, name = ?, since = ? WHERE directory = ? AND name = ?",
        (place.id, split(new)[1], sequence, row[PARENT], split(old)[1]),
    )
    unit.execute("UPDATE node SET changed_ns = ? WHERE id = ?", (now, node))
    for parent in {row[PARENT], place.id}:
        unit.execute("UPDATE node SET modified_ns = ?1, changed_ns = ?1 WHERE id = ?2", (now, parent))
    own = unit.classes.node(row[OWN], unit.cursor)
    if widens:
        rights.widened(unit, node, row[1], sequence)
    if row[1] == DIRECTORY:
        unit.execute(
            "UPDATE directory SET path = ?1 || substr(path, ?2) WHERE path = ?3 OR (path > ?4 AND path < ?5)",
            (new, len(old) + 1, old, old + "/", old + "0"),
        )
        refresh_tree(unit.cursor, unit.classes, new)
        unit.forget_directories()
        unit.everything = True
    elif own.shares:
        unit.everything = True
    unit.touched += (node, row[PARENT], place.id)
