"""Extended attributes of nodes."""

from __future__ import annotations

from avm_builtin.storage.sqlite.connection import Runner, fetch
from vfs_core.errors import Exists, Invalid, NoAttribute, TooLarge

NAME_MAX = 255
VALUE_MAX = 64 * 1024
"""Bytes of a name and of a value, as Linux has them."""


def put(
    connection: Runner, node: int, path: str, name: str, value: bytes, *, create: bool, replace: bool
) -> None:
    """Set an attribute. Raises Exists with `create`, NoAttribute with `replace`, Invalid, TooLarge."""
    if not name or "\0" in name or len(name.encode()) > NAME_MAX:
        raise Invalid(f"{name!r} is no name of an attribute: 1 to {NAME_MAX} bytes without NUL")
    if len(value) > VALUE_MAX:
        raise TooLarge(
            f"the attribute {name!r} would take {len(value):,} bytes; at most {VALUE_MAX:,} are kept"
        )
    there = bool(fetch(connection, "SELECT 1 FROM xattr WHERE node = ? AND name = ?", (node, name)))
    if there and create:
        raise Exists(f"{path} has an attribute {name!r} already")
    if not there and replace:
        raise NoAttribute(f"{path} has no attribute {name!r}")
    connection.execute(
        "INSERT OR REPLACE INTO xattr (node, name, value) VALUES (?, ?, ?)", (node, name, value)
    )


def remove(connection: Runner, node: int, path: str, name: str) -> None:
    """Remove an attribute. Raises NoAttribute."""
    if not fetch(connection, "DELETE FROM xattr WHERE node = ? AND name = ? RETURNING 1", (node, name)):
        raise NoAttribute(f"{path} has no attribute {name!r}")
