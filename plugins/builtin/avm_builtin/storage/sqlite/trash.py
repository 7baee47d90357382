"""What a deletion leaves behind, read inside a transaction that brings it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from avm_builtin.storage.sqlite.connection import Row, Runner, fetch
from avm_builtin.storage.sqlite.rows import STAT, STAT_WIDTH
from vfs_core import journal

OWNER = 3
"""The column of STAT that holds the owner."""


class Deleted(NamedTuple):
    """A deleted node, and where and how it was deleted."""

    row: Row
    """The columns STAT."""
    path: str
    sequence: int
    time_ns: int
    agent: int
    """Who deleted it; for what has expired, its owner."""
    directory: int
    """Node id of the directory that it was in."""
    name: str
    within: int | None
    """Id of that directory's class then; None if the deletion did not record it."""


def find(connection: Runner, node: int) -> Deleted | None:
    """A deleted node that can be restored."""
    rows = fetch(
        connection,
        f"""SELECT {STAT}, j.path, j.sequence, j.time_ns, j.agent, o.directory, o.name, j.details FROM node n
            JOIN journal j ON j.sequence = n.deleted_sequence
            JOIN old_name o ON o.node = n.id AND o.until = n.deleted_sequence
            WHERE n.id = ? AND n.links = 0""",
        (node,),
    )
    if not rows:
        return None
    row = rows[0]
    details = json.loads(row[-1]) if row[-1] else {}
    path, sequence, time_ns, agent, directory, name, _ = row[STAT_WIDTH:]
    if details.get(journal.EXPIRED):
        agent = row[OWNER]
    within = details.get(journal.CLASS)
    return Deleted(row[:STAT_WIDTH], path, sequence, time_ns, agent, directory, name, within)


def deleted_with(connection: Runner, directory: int, top: int) -> Iterator[int]:
    """The nodes in a deleted directory that went with it when `top` was deleted."""
    for node, details in fetch(
        connection,
        "SELECT n.id, j.details FROM old_name o JOIN node n ON n.id = o.node AND n.deleted_sequence = o.until "
        "JOIN journal j ON j.sequence = o.until WHERE o.directory = ? AND n.links = 0 ORDER BY n.id",
        (directory,),
    ):
        if details and json.loads(details).get(journal.WITHIN) == top:
            yield node


def keep_name(connection: Runner, directory: int, name: str, until: int) -> None:
    """Remember a name that the journal row `until` takes away."""
    connection.execute(
        "INSERT INTO old_name (directory, name, until, node, since) SELECT directory, name, ?1, node, "
        "CASE since WHEN 0 THEN node ELSE since END FROM name WHERE directory = ?2 AND name = ?3",
        (until, directory, name),
    )
