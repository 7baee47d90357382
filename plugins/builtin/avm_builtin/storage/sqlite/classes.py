"""Interning visibility classes, and keeping those of directories right when something above them changes."""

from __future__ import annotations

from avm_builtin.storage.sqlite.connection import Database, Row, Runner, fetch
from vfs_core.errors import CorruptStore
from vfs_core.path import space_of, split
from vfs_core.visibility import DirectoryClass, NodeClass

AnyClass = DirectoryClass | NodeClass


class Classes:
    """Class ids and what they stand for. A committed id never changes its meaning, so both ways are cached."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_id: dict[int, AnyClass] = {}
        self._ids: dict[tuple[str, str], int] = {}
        self._plain: dict[tuple[str, str, int], int] = {}
        self._pending: list[int] = []

    def get(self, id: int, connection: Runner | None = None) -> AnyClass:
        """The class of an id; `connection` sees those of its own transaction."""
        known = self._by_id.get(id)
        if known is not None:
            return known
        sql = "SELECT kind, key FROM visibility WHERE id = ?"
        rows = self._database.rows(sql, (id,)) if connection is None else fetch(connection, sql, (id,))
        if not rows:
            raise CorruptStore(f"{self._database.path}: no visibility class {id}; type: avm doctor")
        found = parse(rows[0][0], rows[0][1])
        self._by_id[id] = found
        return found

    def directory(self, id: int, connection: Runner | None = None) -> DirectoryClass:
        """The directory class of an id."""
        found = self.get(id, connection)
        assert isinstance(found, DirectoryClass)
        return found

    def node(self, id: int, connection: Runner | None = None) -> NodeClass:
        """The node class of an id."""
        found = self.get(id, connection)
        assert isinstance(found, NodeClass)
        return found

    def intern(self, connection: Runner, value: AnyClass) -> int:
        """The id of a class, made in the running transaction if it is new."""
        kind = "directory" if isinstance(value, DirectoryClass) else "node"
        key = value.key()
        id = self._ids.get((kind, key))
        if id is not None:
            return id
        rows = fetch(connection, "SELECT id FROM visibility WHERE kind = ? AND key = ?", (kind, key))
        if not rows:
            rows = fetch(
                connection, "INSERT INTO visibility (kind, key) VALUES (?, ?) RETURNING id", (kind, key)
            )
        id = int(rows[0][0])
        self._ids[kind, key] = id
        self._by_id.setdefault(id, value)
        self._pending.append(id)
        return id

    def plain(self, connection: Runner, owner: str, group: str, mode: int) -> int:
        """The id of the node class without shares, by a shorter way."""
        id = self._plain.get((owner, group, mode))
        if id is None:
            id = self.intern(connection, NodeClass(owner, group, mode))
            self._plain[owner, group, mode] = id
        return id

    @property
    def has_pending(self) -> bool:
        """Whether the running transaction has made classes: every policy must hear of them."""
        return bool(self._pending)

    def committed(self) -> None:
        """What the transaction interned is there to stay."""
        self._pending.clear()

    def rolled_back(self) -> None:
        """Forget what the transaction interned."""
        if self._pending:
            self._pending.clear()
            self._by_id.clear()
            self._ids.clear()
            self._plain.clear()


def parse(kind: str, key: str) -> AnyClass:
    """A class from its stored kind and key."""
    return DirectoryClass.from_key(key) if kind == "directory" else NodeClass.from_key(key)


def refresh_tree(connection: Runner, classes: Classes, path: str) -> None:
    """Bring the classes of the directory at `path`, and of all below it, in line with what is above them.

    Touches nothing below if the directory's own class does not change.
    """
    parent = split(path)[0]
    above = DirectoryClass()
    if path != "/":
        rows = fetch(connection, "SELECT visibility FROM directory WHERE path = ?", (parent,))
        above = classes.directory(rows[0][0], connection)
    top = fetch(connection, f"{_TREE} WHERE d.path = ?", (path,))[0]
    current = {path: _refresh(connection, classes, above, top)}
    if current[path] is classes.directory(top[2], connection):
        return
    low, high = ("/", "0") if path == "/" else (path + "/", path + "0")
    below = f"{_TREE} WHERE d.path > ? AND d.path < ? ORDER BY d.path"
    for row in fetch(connection, below, (low, high)):
        current[row[1]] = _refresh(connection, classes, current[split(row[1])[0]], row)


_TREE = "SELECT d.id, d.path, d.visibility, n.visibility FROM directory d JOIN node n ON n.id = d.id"


def _refresh(connection: Runner, classes: Classes, above: DirectoryClass, row: Row) -> DirectoryClass:
    """Bring one directory's class in line with the class above it, and return it."""
    id, path, old, own = row
    new = classes.intern(connection, above.enter(space_of(path), classes.node(own, connection)))
    if new != old:
        connection.execute("UPDATE directory SET visibility = ? WHERE id = ?", (new, id))
    return classes.directory(new, connection)
