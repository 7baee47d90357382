"""Changing what files say: whole, by parts, at the end, and their metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from avm_builtin.storage.sqlite import (
    contents,
    making,
    ranges,
)
from avm_builtin.storage.sqlite.connection import Row
from avm_builtin.storage.sqlite.rows import FILE, KINDS
from avm_builtin.storage.sqlite.unit import BODY, CONTENT, META, Place, Unit
from vfs_core import journal
from vfs_core.errors import (
    Conflict,
    Invalid,
    IsADirectory,
)
from vfs_core.meta import EMPTY, merge, reverse_patch, tags_of
from vfs_core.path import space_of
from vfs_core.storage import (
    Operation,
    Snapshot,
)
from vfs_core.types import JSON, Version

SIZE_MAX = 2**40
"""Bytes that a file may have: positions of chunks, and what a walk over them takes, are bounded by it."""
_WRITE = Operation.WRITE
"""Bound once: in Python 3.11 a member of an enumeration takes as long to find as a row to judge."""


def write(
    unit: Unit,
    path: str,
    data: bytes,
    patch: Mapping[str, JSON] | None = None,
    base_version: int | None = None,
    parents: bool = True,
) -> Version:
    """See `Transaction.write`."""
    row = unit.locate(path)
    if row is None:
        place = unit.judge_creation(path)
        if base_version:
            raise Conflict(f"{path} does not exist, and the write was based on version {base_version}")
        return _create_file(unit, path, place, _filled(unit, path, data), journal.WRITE, patch, parents)
    unit.judge_taken(_WRITE, path, row)
    if row[1] != FILE:
        raise IsADirectory(f"{path} is a {KINDS[row[1]]}, not a file")
    if base_version is not None:
        _refuse_base(path, row, base_version)
    meta = row[META] if patch is None else merge(row[META], patch)
    unit.charge(path, len(data) - row[5], 0)
    written = contents.replace(unit.cursor, _stored(row), data)
    return _commit_content(unit, path, row, written, journal.WRITE, meta)


def append(unit: Unit, path: str, data: bytes) -> Version:
    """See `Transaction.append`."""
    row = unit.locate(path)
    if row is None:
        place = unit.judge_creation(path)
        return _create_file(unit, path, place, _filled(unit, path, data), journal.APPEND, None, True)
    unit.judge_taken(Operation.WRITE, path, row)
    if row[1] != FILE:
        raise IsADirectory(f"{path} is a {KINDS[row[1]]}, not a file")
    unit.charge(path, len(data), 0)
    written = contents.append(unit.cursor, unit.database.trees, _stored(row), data)
    return _commit_content(unit, path, row, written, journal.APPEND, row[META])


def write_range(
    unit: Unit, path: str, offset: int, data: bytes, *, snapshot: Snapshot | None = None
) -> Version:
    """See `Transaction.write_range`."""
    row = _require_file(unit, path)
    if offset < 0 or offset + len(data) > SIZE_MAX:
        raise Invalid(f"{path}: a file holds bytes from 0 to {SIZE_MAX:,}, not at {offset:,}")
    unit.charge(path, max(0, offset + len(data) - row[5]), 0)
    written = ranges.write(unit.cursor, unit.database.trees, _stored(row), offset, data, snapshot)
    return _commit_content(unit, path, row, written, journal.WRITE, row[META])


def truncate(unit: Unit, path: str, size: int, *, snapshot: Snapshot | None = None) -> Version:
    """See `Transaction.truncate`."""
    row = _require_file(unit, path)
    if not 0 <= size <= SIZE_MAX:
        raise Invalid(f"{path}: a size is from 0 to {SIZE_MAX:,} bytes, not {size:,}")
    unit.charge(path, size - row[5], 0)
    written = ranges.truncate(unit.cursor, unit.database.trees, _stored(row), size, snapshot)
    return _commit_content(unit, path, row, written, journal.TRUNCATE, row[META])


def _require_file(unit: Unit, path: str) -> Row:
    row = unit.require(path)
    unit.check(Operation.WRITE, unit.as_found(path, row))
    if row[1] != FILE:
        raise IsADirectory(f"{path} is a {KINDS[row[1]]}, not a file")
    return row


def write_blocks(
    unit: Unit,
    path: str,
    blocks: Iterable[bytes],
    *,
    patch: Mapping[str, JSON] | None = None,
    base_version: int | None = None,
    parents: bool = True,
) -> Version:
    """See `Transaction.write_blocks`."""
    chunks = ranges.rechunk(blocks)
    with unit.whole():
        row = unit.locate(path)
        if row is None:
            place = unit.judge_creation(path)
            if base_version:
                raise Conflict(f"{path} does not exist, and the write was based on version {base_version}")

            def fill(node: int) -> contents.Written:
                written = contents.pour(unit.cursor, contents.Stored(node, 0, 0, 0, b""), chunks)
                unit.charge(path, written.size, 1)
                return written

            return _create_file(unit, path, place, fill, journal.WRITE, patch, parents)
        unit.judge_taken(Operation.WRITE, path, row)
        if row[1] != FILE:
            raise IsADirectory(f"{path} is a {KINDS[row[1]]}, not a file")
        if base_version is not None:
            _refuse_base(path, row, base_version)
        meta = row[META] if patch is None else merge(row[META], patch)
        written = contents.pour(unit.cursor, _stored(row), chunks)
        unit.charge(path, written.size - row[5], 0)
        return _commit_content(unit, path, row, written, journal.WRITE, meta)


def update_meta(unit: Unit, path: str, patch: Mapping[str, JSON]) -> dict[str, JSON]:
    """See `Transaction.update_meta`."""
    row = unit.require(path)
    unit.check(Operation.WRITE, unit.as_found(path, row))
    meta = merge(row[META], patch)
    if meta != row[META]:
        details = {journal.META_BEFORE: reverse_patch(row[META], meta)}
        now, _ = unit.journal(journal.META, row[0], path, row[6], row[5], details=details)
        unit.execute("UPDATE node SET meta = ?, changed_ns = ? WHERE id = ?", (meta, now, row[0]))
        _set_tags(unit, row[0], row[META], meta)
        unit.touched.append(row[0])
    loaded: dict[str, JSON] = json.loads(meta)
    return loaded


def _refuse_base(path: str, row: Row, base_version: int) -> None:
    """Refuse a write that was based on another version than the present one."""
    if base_version != row[6]:
        raise Conflict(
            f"{path} is at version {row[6]}, and the write was based on version {base_version}: "
            f"read it again and merge"
        )


def _commit_content(
    unit: Unit,
    path: str,
    row: Row,
    written: contents.Written,
    operation: str,
    meta: str,
) -> Version:
    node, version = row[0], row[6] + 1
    size, digest, body = written
    details = None
    if meta is not row[META] and meta != row[META]:
        details = {journal.META_BEFORE: reverse_patch(row[META], meta)}
    now, sequence = unit.journal(operation, node, path, version, size, digest, details=details)
    unit.run(
        "UPDATE node SET size = ?, version = ?, modified_ns = ?, changed_ns = ?, content_sequence = ?, "
        "hash = ?, meta = ?, body = ? WHERE id = ?",
        (size, version, now, now, sequence, digest, meta, body, node),
    )
    if meta is not row[META]:
        _set_tags(unit, node, row[META], meta)
    unit.touched.append(node)
    return tuple.__new__(
        Version,
        (
            path,
            version,
            sequence,
            now,
            unit.origin.agent,
            size,
            digest,
            operation,
            unit.marks.attributed,
            unit.origin.door,
        ),
    )


def _filled(unit: Unit, path: str, data: bytes) -> Callable[[int], contents.Written]:
    """What stores the whole content of a new file."""
    unit.charge(path, len(data), 1)
    return lambda node: contents.create(unit.cursor, node, data)


def _create_file(
    unit: Unit,
    path: str,
    place: Place,
    fill: Callable[[int], contents.Written],
    operation: str,
    patch: Mapping[str, JSON] | None,
    parents: bool,
) -> Version:
    """Make a file; `fill` stores its content, given the id that it gets."""
    meta = EMPTY if patch is None else merge(EMPTY, patch)
    place = making.make_parents(unit, path, place, parents)
    unit.agent(space_of(path) or unit.origin.agent)  # rows of new agents come before the node's
    unit.agent(unit.origin.agent)
    unit.agent(unit.origin.actor)
    written = fill(unit.sequence + 1)
    node = making.insert_node(unit, path, place, FILE, operation, written, meta)
    if meta is not EMPTY:
        _set_tags(unit, node.id, EMPTY, meta)
    return Version(
        path,
        1,
        node.id,
        node.time_ns,
        unit.origin.agent,
        written.size,
        written.hash,
        operation,
        unit.marks.attributed,
        unit.origin.door,
    )


def _set_tags(unit: Unit, node: int, old: str, new: str) -> None:
    before, after = set(tags_of(old)), set(tags_of(new))
    for tag in before - after:
        unit.execute("DELETE FROM tag WHERE node = ? AND name = ?", (node, tag))
    for tag in after - before:
        unit.execute("INSERT INTO tag (node, name) VALUES (?, ?)", (node, tag))


def _stored(row: Row) -> contents.Stored:
    return tuple.__new__(contents.Stored, (row[0], row[5], row[6], row[CONTENT], row[BODY]))
