"""What is said of nodes beside their content: links, attributes, times."""

from __future__ import annotations

from avm_builtin.storage.sqlite import (
    attributes,
)
from avm_builtin.storage.sqlite.connection import Row
from avm_builtin.storage.sqlite.unit import PARENT, Unit
from vfs_core import journal
from vfs_core.errors import (
    Invalid,
)
from vfs_core.storage import (
    Operation,
)
from vfs_core.types import Stat


def set_times(unit: Unit, path: str, accessed_ns: int | None = None, modified_ns: int | None = None) -> Stat:
    """See `Transaction.set_times`."""
    row = unit.require(path)
    unit.check(Operation.WRITE, unit.as_found(path, row))
    new = (
        row[14] if accessed_ns is None else accessed_ns,
        row[7] if modified_ns is None else modified_ns,
    )
    if not all(-(2**63) <= moment < 2**63 for moment in new):
        raise Invalid(f"{path}: a time is out of what can be kept")
    before = {"accessed_ns": row[14], "modified_ns": row[7]}
    details = {"accessed_ns": new[0], "modified_ns": new[1], journal.BEFORE: before}
    now, _ = unit.journal(journal.TIMES, row[0], path, row[6], row[5], details=details)
    unit.execute(
        "UPDATE node SET accessed_ns = ?, modified_ns = ?, changed_ns = ? WHERE id = ?",
        (*new, now, row[0]),
    )
    unit.touched += (row[0], row[PARENT])
    return unit.users.stat(unit.require(path))


def set_attribute(
    unit: Unit, path: str, name: str, value: bytes, *, create: bool = False, replace: bool = False
) -> None:
    """See `Transaction.set_attribute`."""
    row = unit.require(path)
    unit.check(Operation.WRITE, unit.as_found(path, row))
    attributes.put(unit.cursor, row[0], path, name, value, create=create, replace=replace)
    _attribute_changed(unit, path, row, name)


def remove_attribute(unit: Unit, path: str, name: str) -> None:
    """See `Transaction.remove_attribute`."""
    row = unit.require(path)
    unit.check(Operation.WRITE, unit.as_found(path, row))
    attributes.remove(unit.cursor, row[0], path, name)
    _attribute_changed(unit, path, row, name)


def _attribute_changed(unit: Unit, path: str, row: Row, name: str) -> None:
    now, _ = unit.journal(journal.XATTR, row[0], path, row[6], row[5], details={"name": name})
    unit.execute("UPDATE node SET changed_ns = ? WHERE id = ?", (now, row[0]))
    unit.touched.append(row[0])


def link(unit: Unit, source: str, target: str, kind: str, weight: float = 1.0) -> None:
    """See `Transaction.link`."""
    start, end = _judge_link(unit, source, target)
    before = unit.execute(
        "SELECT weight FROM link WHERE source = ? AND kind = ? AND target = ?", (start[0], kind, end[0])
    )
    unit.execute(
        "INSERT OR REPLACE INTO link (source, kind, target, weight) VALUES (?, ?, ?, ?)",
        (start[0], kind, end[0], weight),
    )
    details = {"kind": kind, "target": end[0], "weight": weight}
    if before:
        details[journal.BEFORE] = before[0][0]
    unit.journal(journal.LINK, start[0], source, start[6], start[5], details=details)
    unit.touched += (start[0], end[0])


def _judge_link(unit: Unit, source: str, target: str) -> tuple[Row, Row]:
    """Both ends of a link: the source first, so that nothing is said of the target to who may not write it."""
    start = unit.require(source)
    unit.check(Operation.LINK, unit.as_found(source, start))
    end = unit.require(target)
    unit.check(Operation.READ, unit.as_found(target, end))
    return start, end


def unlink(unit: Unit, source: str, target: str, kind: str | None = None) -> int:
    """See `Transaction.unlink`."""
    start, end = _judge_link(unit, source, target)
    removed = unit.execute(
        "DELETE FROM link WHERE source = ?1 AND target = ?2 AND (?3 IS NULL OR kind = ?3) RETURNING kind, weight",
        (start[0], end[0], kind),
    )
    for gone, weight in removed:
        details = {"kind": gone, "target": end[0], "weight": weight}
        unit.journal(journal.UNLINK, start[0], source, start[6], start[5], details=details)
        unit.touched += (start[0], end[0])
    return len(removed)
