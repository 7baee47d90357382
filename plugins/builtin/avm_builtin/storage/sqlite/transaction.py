"""Every change, each in one `BEGIN IMMEDIATE`: the contract, and where each part of it is kept."""

# the contract (`vfs_core.storage`) documents its methods

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

from avm_builtin.storage.sqlite import (
    labels,
    making,
    mending,
    moving,
    removing,
    rights,
    writing,
)
from avm_builtin.storage.sqlite.classes import Classes
from avm_builtin.storage.sqlite.connection import Database
from avm_builtin.storage.sqlite.rows import Names
from avm_builtin.storage.sqlite.unit import Unit
from vfs_core import journal
from vfs_core.bell import Bell
from vfs_core.past import Purged, Retention, Trashed
from vfs_core.storage import (
    Charge,
    Check,
    Found,
    Moved,
    Snapshot,
    Transaction,
    charge_nobody,
)
from vfs_core.types import JSON, Access, Kind, Origin, Stat, User, Version


class SqliteTransaction(Transaction):
    """One unit of change. Used as `with store.transaction(origin, check) as tx`."""

    def __init__(
        self,
        database: Database,
        bell: Bell,
        classes: Classes,
        names: Names,
        origin: Origin,
        check: Check,
        charge: Charge = charge_nobody,
    ) -> None:
        self._unit = Unit(database, bell, classes, names, origin, check, charge, self, removing.expire)

    def __enter__(self) -> SqliteTransaction:
        self._unit.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unit.__exit__(kind, error, trace)

    def make_first_directories(self) -> None:
        """Make the root and the fixed directories, in the transaction that makes the tables."""
        making.first_directories(self._unit)

    # --- files -----------------------------------------------------------------------------------

    def write(
        self,
        path: str,
        data: bytes,
        *,
        patch: Mapping[str, JSON] | None = None,
        base_version: int | None = None,
        parents: bool = True,
    ) -> Version:
        return writing.write(self._unit, path, data, patch, base_version, parents)

    def append(self, path: str, data: bytes) -> Version:
        return writing.append(self._unit, path, data)

    def write_range(
        self, path: str, offset: int, data: bytes, *, snapshot: Snapshot | None = None
    ) -> Version:
        return writing.write_range(self._unit, path, offset, data, snapshot=snapshot)

    def truncate(self, path: str, size: int, *, snapshot: Snapshot | None = None) -> Version:
        return writing.truncate(self._unit, path, size, snapshot=snapshot)

    def write_blocks(
        self,
        path: str,
        blocks: Iterable[bytes],
        *,
        patch: Mapping[str, JSON] | None = None,
        base_version: int | None = None,
        parents: bool = True,
    ) -> Version:
        return writing.write_blocks(
            self._unit, path, blocks, patch=patch, base_version=base_version, parents=parents
        )

    def update_meta(self, path: str, patch: Mapping[str, JSON]) -> dict[str, JSON]:
        return writing.update_meta(self._unit, path, patch)

    def mkdir(self, path: str, *, parents: bool = False, exist_ok: bool = False) -> Stat:
        return making.mkdir(self._unit, path, parents=parents, exist_ok=exist_ok)

    def make_special(self, path: str, kind: Kind, *, target: str = "", device: int = 0) -> Stat:
        return making.make_special(self._unit, path, kind, target=target, device=device)

    def hard_link(self, source: str, new: str) -> Stat:
        return making.hard_link(self._unit, source, new)

    def delete(self, path: str, *, recursive: bool = False) -> int:
        return removing.delete(self._unit, path, recursive=recursive)

    def trashed(self, node: int) -> Trashed | None:
        return removing.trashed(self._unit, node)

    def restore(self, node: int, to: str | None = None) -> Moved:
        return removing.restore(self._unit, node, to)

    def forget(self, node: int, approve: Callable[[Trashed], None]) -> int:
        return removing.forget(self._unit, node, approve)

    def set_expiry(self, path: str, expires_ns: int | None) -> None:
        return removing.set_expiry(self._unit, path, expires_ns)

    def rename(self, old: str, new: str, *, replace: bool = False) -> Moved:
        return moving.rename(self._unit, old, new, replace=replace)

    def rename_prefix(self, old: str, new: str) -> Moved:
        return moving.rename_prefix(self._unit, old, new)

    def set_mode(self, path: str, mode: int) -> Stat:
        return rights.set_mode(self._unit, path, mode)

    def set_owner(self, path: str, owner: str | None = None, group: str | None = None) -> Stat:
        return rights.set_owner(self._unit, path, owner, group)

    def set_posix_owner(self, path: str, uid: int | None = None, gid: int | None = None) -> Stat:
        return rights.set_posix_owner(self._unit, path, uid, gid)

    def set_times(self, path: str, accessed_ns: int | None = None, modified_ns: int | None = None) -> Stat:
        return labels.set_times(self._unit, path, accessed_ns, modified_ns)

    def set_attribute(
        self, path: str, name: str, value: bytes, *, create: bool = False, replace: bool = False
    ) -> None:
        return labels.set_attribute(self._unit, path, name, value, create=create, replace=replace)

    def remove_attribute(self, path: str, name: str) -> None:
        return labels.remove_attribute(self._unit, path, name)

    def share(self, path: str, agent: str, access: Access | None) -> None:
        return rights.share(self._unit, path, agent, access)

    def put_user(self, user: User) -> None:
        return rights.put_user(self._unit, user)

    def link(self, source: str, target: str, kind: str, weight: float = 1.0) -> None:
        return labels.link(self._unit, source, target, kind, weight)

    def unlink(self, source: str, target: str, kind: str | None = None) -> int:
        return labels.unlink(self._unit, source, target, kind)

    def record_copy(self, kind: str, location: str, sequence: int) -> None:
        super().record_copy(kind, location, sequence)
        self._unit.execute(
            "INSERT INTO copy (kind, location, time_ns, sequence) VALUES (?, ?, ?, ?)",
            (kind, location, self._unit.now, sequence),
        )

    def note(self, operation: str, details: Mapping[str, JSON]) -> int:
        return self._unit.journal(operation, 0, "", 0, 0, details=details)[1]

    def purge(self, retention: Retention, limit: int, after: int) -> Purged:
        return removing.purge(self._unit, retention, limit, after)

    def mend(self) -> dict[str, int]:
        """Make what is derived anew; what was wrong, and how often."""
        unit = self._unit
        mended = mending.mend(unit.cursor.connection, unit.classes)
        if mended:
            unit.journal(journal.MEND, 0, "", 0, 0, details=mended)
            unit.everything = True
        return mended

    def find(self, path: str) -> Found:
        return self._unit.find(path)

    def names(self, node: int) -> list[str]:
        return self._unit.names(node)
