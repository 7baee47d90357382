"""Making anew what is derived: visibility classes, tag rows, counts of names. Never what is not."""

from __future__ import annotations

from types import MappingProxyType

import apsw

from avm_builtin.storage.sqlite import consistency
from avm_builtin.storage.sqlite.classes import Classes
from avm_builtin.storage.sqlite.connection import fetch
from vfs_core.path import space_of, split
from vfs_core.types import Access
from vfs_core.visibility import DirectoryClass, NodeClass


def mend(connection: apsw.Connection, classes: Classes) -> dict[str, int]:
    """Mend in the running transaction; how many rows of each kind were wrong."""
    mended = {
        "visibility classes of nodes": _node_classes(connection, classes),
        "visibility classes of directories": _directory_classes(connection, classes),
        "tags": _tags(connection),
        "counts of names": _link_counts(connection),
    }
    return {what: count for what, count in mended.items() if count}


def _node_classes(connection: apsw.Connection, classes: Classes) -> int:
    shares: dict[int, dict[str, Access]] = {}
    for node, user, access in fetch(
        connection, "SELECT s.node, u.name, s.access FROM share s JOIN user u ON u.id = s.user"
    ):
        shares.setdefault(node, {})[user] = access
    wrong = 0
    rows = fetch(
        connection,
        "SELECT n.id, n.mode, u.name, g.name, n.visibility FROM node n JOIN user u ON u.id = n.owner "
        'JOIN "group" g ON g.id = n."group"',
    )
    for node, mode, owner, group, visibility in rows:
        right = classes.intern(
            connection, NodeClass(owner, group, mode, MappingProxyType(shares.get(node, {})))
        )
        if right != visibility:
            connection.execute("UPDATE node SET visibility = ? WHERE id = ?", (right, node))
            wrong += 1
    return wrong


def _directory_classes(connection: apsw.Connection, classes: Classes) -> int:
    inside: dict[str, DirectoryClass] = {}
    wrong = 0
    rows = fetch(
        connection,
        "SELECT d.id, d.path, d.visibility, n.visibility FROM directory d JOIN node n ON n.id = d.id ORDER BY d.path",
    )
    for id, path, visibility, own in rows:
        above = DirectoryClass() if path == "/" else inside[split(path)[0]]
        inside[path] = above.enter(space_of(path), classes.node(own, connection))
        right = classes.intern(connection, inside[path])
        if right != visibility:
            connection.execute("UPDATE directory SET visibility = ? WHERE id = ?", (right, id))
            wrong += 1
    return wrong


def _tags(connection: apsw.Connection) -> int:
    wrong = consistency.wrong_tags(connection)
    for node, tags in wrong.items():
        connection.execute("DELETE FROM tag WHERE node = ?", (node,))
        for tag in sorted(tags):
            connection.execute("INSERT INTO tag (node, name) VALUES (?, ?)", (node, tag))
    return len(wrong)


def _link_counts(connection: apsw.Connection) -> int:
    wrong = consistency.wrong_link_counts(connection)
    for node, count in wrong:
        connection.execute("UPDATE node SET links = ? WHERE id = ?", (count, node))
    return len(wrong)
