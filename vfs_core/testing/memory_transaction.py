"""Changes to a `MemoryStore`: each asks and validates everything, then changes a copy of the state."""

# ruff: noqa: D102  # the contract (`vfs_core.storage`) documents its methods

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from vfs_core import journal
from vfs_core.content import content_hash
from vfs_core.errors import (
    Conflict,
    Denied,
    Exists,
    InUse,
    Invalid,
    IsADirectory,
    NoAttribute,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotOwner,
    StoreError,
    TooLarge,
)
from vfs_core.meta import EMPTY, merge, reverse_patch
from vfs_core.past import Purged, Retention, Trashed
from vfs_core.path import MEMORY, PATH_MAX, PRIVATE, SHARED, is_within, join, space_of, split
from vfs_core.storage import (
    Charge,
    Check,
    Found,
    Moved,
    Operation,
    Snapshot,
    Transaction,
)
from vfs_core.testing.memory_state import Deletion, MemoryNode, Row, State, json_text
from vfs_core.types import JSON, Access, Change, Kind, Origin, Stat, User, Version
from vfs_core.visibility import DirectoryClass, NodeClass

SIZE_MAX = 2**40
FIXED = ("/", MEMORY, PRIVATE, SHARED)
"""Made with the store; can be neither moved, removed nor replaced."""


class MemoryTransaction(Transaction):
    """Changes to a copy of the state. Every method asks and validates all before it changes anything."""

    def __init__(self, state: State, origin: Origin, check: Check, charge: Charge) -> None:
        self.state = state
        self.touched: set[int] = set()
        self.everything = False
        self.open = True
        self._origin = origin
        self._check = check
        self._charge = charge
        self._now = time.time_ns()

    # --- contents --------------------------------------------------------------------------------

    def find(self, path: str) -> Found:
        self._alive()
        return self.state.find(path)

    def names(self, node: int) -> list[str]:
        self._alive()
        return self.state.names_of(node)

    def write(
        self,
        path: str,
        data: bytes,
        *,
        patch: Mapping[str, JSON] | None = None,
        base_version: int | None = None,
        parents: bool = True,
    ) -> Version:
        return self._commit(journal.WRITE, path, lambda old: bytes(data), patch, base_version, parents)

    def append(self, path: str, data: bytes) -> Version:
        return self._commit(journal.APPEND, path, lambda old: old + bytes(data), None, None, True)

    def _commit(
        self,
        operation: str,
        path: str,
        change: Callable[[bytes], bytes],
        patch: Mapping[str, JSON] | None,
        base_version: int | None,
        parents: bool,
    ) -> Version:
        """Give a file new content."""
        node = self._present_or_creatable(path)
        if node is not None and node.kind is not Kind.FILE:
            raise IsADirectory(f"{path}: is a {node.kind}")
        version = node.version if node else 0
        if base_version is not None and base_version != version:
            raise Conflict(
                f"{path}: is at version {version}, and the write was based on version {base_version}"
            )
        if node is None:
            self._require_parents(path, parents)
        meta_json = merge(node.meta_json if node else EMPTY, patch or {})
        data = change(node.data if node else b"")
        self._charge(path, len(data) - (len(node.data) if node else 0), 0 if node else 1)
        if node is None:
            self._make_parents(path)
        before = reverse_patch(node.meta_json, meta_json) if node else {}
        sequence = self._append(
            operation, path, node.id if node else None, version + 1, len(data), content_hash(data),
            details={journal.META_BEFORE: before} if before else None,
        )  # fmt: skip
        if node is None:
            node = self._put_new(path, sequence, Kind.FILE)
        node = replace(
            node,
            data=data,
            meta_json=meta_json,
            version=version + 1,
            modified_ns=self._now,
            changed_ns=self._now,
        )
        self.state.nodes[node.id] = node
        committed = Version(
            path,
            node.version,
            sequence,
            self._now,
            self._origin.agent,
            len(data),
            content_hash(data),
            operation,
            self.attributed,
            self._origin.door,
        )
        self.state.versions[node.id, node.version] = committed, data
        self.touched.add(node.id)
        return committed

    def write_range(
        self, path: str, offset: int, data: bytes, *, snapshot: Snapshot | None = None
    ) -> Version:
        self._require_file(path)
        if offset < 0 or offset + len(data) > SIZE_MAX:
            raise Invalid(f"{path}: bytes from 0 to {SIZE_MAX}")

        def put(old: bytes) -> bytes:
            padded = old.ljust(offset, b"\0")
            return padded[:offset] + data + padded[offset + len(data) :]

        return self._change(journal.WRITE, path, put, snapshot)

    def truncate(self, path: str, size: int, *, snapshot: Snapshot | None = None) -> Version:
        self._require_file(path)
        if not 0 <= size <= SIZE_MAX:
            raise Invalid(f"{path}: a size from 0 to {SIZE_MAX}")
        return self._change(journal.TRUNCATE, path, lambda old: old[:size].ljust(size, b"\0"), snapshot)

    def _require_file(self, path: str) -> None:
        node = self._present(Operation.WRITE, path)
        if node.kind is not Kind.FILE:
            raise IsADirectory(f"{path}: is a {node.kind}")

    def _change(
        self, operation: str, path: str, change: Callable[[bytes], bytes], snapshot: Snapshot | None
    ) -> Version:
        """A new version, and the one before dropped where the snapshot says that nobody will miss it."""
        old = self.state.nodes[self.state.names[path]]
        kept, _ = self.state.versions[old.id, old.version]
        made = self._commit(operation, path, change, None, None, True)
        if snapshot is not None and snapshot.version == old.version and kept.sequence > snapshot.since:
            self.state.versions[old.id, old.version] = kept, None
        return made

    def write_blocks(
        self,
        path: str,
        blocks: Iterable[bytes],
        *,
        patch: Mapping[str, JSON] | None = None,
        base_version: int | None = None,
        parents: bool = True,
    ) -> Version:
        return self.write(path, b"".join(blocks), patch=patch, base_version=base_version, parents=parents)

    def update_meta(self, path: str, patch: Mapping[str, JSON]) -> dict[str, JSON]:
        node = self._present(Operation.WRITE, path)
        meta_json = merge(node.meta_json, patch)
        if meta_json != node.meta_json:
            before = {journal.META_BEFORE: reverse_patch(node.meta_json, meta_json)}
            self._append(journal.META, path, node.id, node.version, len(node.data), details=before)
            self.state.nodes[node.id] = replace(node, meta_json=meta_json, changed_ns=self._now)
            self.touched.add(node.id)
        meta: dict[str, JSON] = json.loads(meta_json)
        return meta

    # --- names -----------------------------------------------------------------------------------

    def mkdir(self, path: str, *, parents: bool = False, exist_ok: bool = False) -> Stat:
        self._alive()
        if path in self.state.names:
            node = self._taken(Operation.STAT, path)
            if node.kind is Kind.DIRECTORY and exist_ok:
                return node.stat()
            raise Exists(f"{path}: exists already")
        self._present_or_creatable(path)
        self._require_parents(path, parents)
        self._make_parents(path)
        return self._mkdir(path).stat()

    def make_special(self, path: str, kind: Kind, *, target: str = "", device: int = 0) -> Stat:
        self._alive()
        if path in self.state.names:
            self._taken(Operation.STAT, path)
            raise Exists(f"{path}: exists already")
        self._present_or_creatable(path)
        body = target.encode()
        if kind in (Kind.FILE, Kind.DIRECTORY) or (
            kind is Kind.SYMLINK and not (0 < len(body) < PATH_MAX and "\0" not in target)
        ):
            raise Invalid(f"{path}: cannot be made so")
        self._require_parents(path, False)
        operation = journal.SYMLINK if kind is Kind.SYMLINK else journal.MKNOD
        details = {"kind": str(kind), "device": device}
        node = self._put_new(path, self._append(operation, path, None, size=len(body), details=details), kind)
        self.state.nodes[node.id] = replace(node, data=body, device=device)
        return self.state.nodes[node.id].stat()

    def hard_link(self, source: str, new: str) -> Stat:
        node = self._present(Operation.WRITE, source)
        if new in self.state.names:
            self._expire(new)
        if new in self.state.names:
            self._taken(Operation.STAT, new)
            raise Exists(f"{new}: exists already")
        self._present_or_creatable(new)
        if node.kind is Kind.DIRECTORY:
            raise IsADirectory(f"{source}: is a directory, which has one name")
        self._require_parents(new, False)
        widens = self._judge_widening(source, new)
        self._carry_widened(source)
        sequence = self._append(
            journal.HARD_LINK, new, node.id, node.version, len(node.data), old_path=source
        )
        self.state.names[new], self.state.since[new] = node.id, sequence
        self.state.nodes[node.id] = replace(self.state.nodes[node.id], changed_ns=self._now)
        if widens:
            self._widened(new, sequence)
        self._touch_with_parent(new)
        self.everything |= bool(node.who.shares)
        stat = self.state.find(new).stat
        assert stat is not None
        return stat

    def delete(self, path: str, *, recursive: bool = False) -> int:
        self._present(Operation.DELETE, path)
        if path in FIXED:
            raise InUse(f"{path}: is a fixed place of the store and cannot be removed")
        self._expire(path, below=True)
        names = self.state.below(path)
        if len(names) > 1 and not recursive:
            raise NotEmpty(f"{path}: the directory is not empty")
        for name in names[1:]:
            self._present(Operation.DELETE, name)
        top = self.state.names[path]
        for name in reversed(names):
            self._remove(name, top)
        return len(names)

    def trashed(self, node: int) -> Trashed | None:
        self._alive()
        self._come_upon(node)
        return self.state.trashed(node)

    def _come_upon(self, node: int) -> None:
        """Take its names away from a node that has expired."""
        for name in self.state.names_of(node):
            self._expire(name)

    def restore(self, node: int, to: str | None = None) -> Moved:
        self._alive()
        self._come_upon(node)
        before = self.state.copy(), set(self.touched), self.everything
        if node not in self.state.trash:
            raise NotFound(f"there is no deleted node @{node} to restore")
        restored: list[tuple[str, str]] = []
        try:
            self._restore(node, to, node, restored)
        except BaseException:
            kept, self.touched, self.everything = before
            vars(self.state).update(vars(kept))
            raise
        return Moved(len(restored), len(self.state.journal), tuple(restored))

    def _restore(self, id: int, to: str | None, top: int, restored: list[tuple[str, str]]) -> None:
        state = self.state
        deletion, node = state.trash[id], state.nodes[id]
        if to is None:
            above = state.names_of(deletion.directory)
            if not above and deletion.directory in state.trash:
                self._restore(deletion.directory, None, 0, [])
                above = state.names_of(deletion.directory)
            to = join(above[0] if above else split(deletion.path)[0], split(deletion.path)[1])
        if to in state.names:
            self._taken(Operation.STAT, to)
            raise Exists(f"{to}: exists already")
        self._present_or_creatable(to)
        self._require_parents(to, True)
        self._make_parents(to)
        parent = state.nearest(to)
        was = state.classes[deletion.within - 1]
        assert isinstance(was, DirectoryClass)
        readable = node.kind is not Kind.DIRECTORY and node.who.mode & 0o444 == 0o444
        widens = was.widens_to(state.class_inside_of(parent), readable)
        if widens:
            found = state.find(to, directory=True)
            self._check(Operation.SHARE, found._replace(stat=node.stat(), own=node.own))
        sequence = self._append(journal.RESTORE, to, id, node.version, len(node.data), old_path=deletion.path)
        del state.trash[id]
        state.names[to], state.since[to] = id, sequence
        state.nodes[id] = replace(
            node, changed_ns=self._now, expires_ns=None if _expired(node) else node.expires_ns,
            widened=sequence if widens else node.widened,
        )  # fmt: skip
        self._touch_with_parent(to)
        self.everything |= node.kind is Kind.DIRECTORY or bool(node.who.shares)
        self._reclassify(to)
        restored.append((deletion.path, to))
        for child, other in sorted(state.trash.items()):
            if other.directory == id and other.top == top and child in state.trash:
                self._restore(child, join(to, split(other.path)[1]), top, restored)

    def forget(self, node: int, approve: Callable[[Trashed], None]) -> int:
        self._alive()
        nodes = self._chosen(node, approve)
        rows = sum(self._rename_in_rows(each) for each in nodes) + sum(self._forget(each) for each in nodes)
        self._append(journal.FORGET, "", 0, details={"nodes": len(nodes)})
        self.everything = True
        return rows

    def _chosen(self, node: int, approve: Callable[[Trashed], None]) -> list[int]:
        """A deleted node, what was deleted with it, and what had been deleted from it before, if approved."""
        top = self.state.deleted(node)
        if top is None:
            raise NotFound(f"there is no deleted node @{node} to forget")
        approve(top)
        nodes = [node]
        deleted = [each for each in map(self.state.deleted, self.state.nodes) if each is not None]
        for each in deleted:
            details = self.state.journal[each.sequence - 1].change.details or {}
            if details.get(journal.WITHIN) == node:
                try:
                    approve(each)
                except (NotFound, Denied):
                    raise NotOwner(
                        f"{top.path} holds notes of others, who alone may have them forgotten"
                    ) from None
                nodes.append(each.stat.id)
        for each in deleted:
            was_inside = any(is_within(each.path, path) for inner in nodes for path in self._paths(inner))
            if each.stat.id not in nodes and was_inside:
                try:
                    nodes += self._chosen(each.stat.id, approve)
                except (NotFound, Denied):
                    continue  # it stays; its rows do not keep the directory's name
        return list(dict.fromkeys(nodes))

    def _paths(self, node: int) -> list[str]:
        """The paths that a directory's rows give it."""
        if self.state.nodes[node].kind is not Kind.DIRECTORY:
            return []
        return [row.change.path for row in self.state.journal if row.change.node == node and row.change.path]

    def _rename_in_rows(self, node: int) -> int:
        """Take the name of a forgotten directory out of the paths of what was in it."""
        state, rows = self.state, 0
        for lived in sorted(set(self._paths(node)), key=len, reverse=True):
            instead = join(split(lived)[0], f"@{node}")
            for index, (change, salt, chain) in enumerate(state.journal):
                paths = [change.path, change.old_path]
                if change.node == node or not any(path and is_within(path, lived) for path in paths):
                    continue
                state.redacted[change.sequence] = state.commitment(change, salt)
                path, old = (
                    instead + each[len(lived) :] if each and is_within(each, lived) else each
                    for each in paths
                )
                state.journal[index] = Row(change._replace(path=path or "", old_path=old), b"", chain)
                rows += 1
        return rows

    def _forget(self, node: int) -> int:
        state, rows = self.state, 0
        state.trash.pop(node, None)
        state.nodes[node] = replace(state.nodes[node], data=b"", meta_json=EMPTY)
        for key in [key for key in state.versions if key[0] == node]:
            del state.versions[key]
        for link in [link for link in state.links if node in (link[0], link[2])]:
            del state.links[link]
        for index, (change, salt, chain) in enumerate(state.journal):
            if change.node == node:
                state.redacted[change.sequence] = state.commitment(change, salt)
                gone = change._replace(
                    path="", old_path=None, version=0, size=0, content_hash=None, agent="?", actor="?", door="",
                    details=None,
                )  # fmt: skip
                state.journal[index] = Row(gone, b"", chain)
                rows += 1
        return rows

    def set_expiry(self, path: str, expires_ns: int | None) -> None:
        node = self._present(Operation.WRITE, path)
        if expires_ns is not None:
            self._present(Operation.DELETE, path)
        if node.kind is Kind.DIRECTORY:
            raise IsADirectory(f"{path}: is a directory; only a note can expire")
        if expires_ns != node.expires_ns:
            details = {"expires_ns": expires_ns, journal.BEFORE: node.expires_ns}
            self._append(journal.EXPIRY, path, node.id, node.version, len(node.data), details=details)
            self.state.nodes[node.id] = replace(node, expires_ns=expires_ns, changed_ns=self._now)
            self.touched.add(node.id)

    def rename(self, old: str, new: str, *, replace: bool = False) -> Moved:
        node = self._present(Operation.DELETE, old)
        if old == new or (new in self.state.names and self.state.names[new] == node.id):
            return Moved(0, len(self.state.journal))
        if old in FIXED:
            raise InUse(f"{old}: is a fixed place of the store and cannot be moved")
        if is_within(new, old):
            raise Invalid(f"{old}: cannot be moved into itself ({new})")
        taken = new in self.state.names
        if not taken:
            self._present_or_creatable(new)
            self._require_parents(new, True)
        elif replace:
            self._require_replaceable(node, new)
        else:
            self._taken(Operation.STAT, new)
            raise Exists(f"{new}: exists already")
        widens = self._judge_widening(old, new)
        if taken:
            self._remove(new, self.state.names[new])
        self._make_parents(new)
        sequence = self._move([(old, new)], self.state.below(old))
        if widens:
            self._widened(new, sequence)
        return Moved(1, sequence, ((old, new),))

    def _carry_widened(self, path: str) -> MemoryNode:
        """What leaves a directory takes along when it was last opened there."""
        state, node, above = self.state, self.state.nodes[self.state.names[path]], path
        while above != "/":
            above = split(above)[0]
            node = replace(node, widened=max(node.widened, state.nodes[state.names[above]].widened))
        state.nodes[node.id] = node
        return node

    def _widened(self, path: str, sequence: int) -> None:
        node = self.state.nodes[self.state.names[path]]
        self.state.nodes[node.id] = replace(node, widened=sequence)

    def _judge_widening(self, old: str, new: str) -> bool:
        """A move that lets somebody new read is a share: of the node, and of others' nodes below it."""
        node, source, target = self.state.nodes[self.state.names[old]], *map(self.state.nearest, (old, new))
        readable = node.kind is not Kind.DIRECTORY and node.who.mode & 0o444 == 0o444
        if not self.state.class_inside_of(source).widens_to(self.state.class_inside_of(target), readable):
            return False
        for name in self.state.below(old):
            if name == old or self.state.nodes[self.state.names[name]].who.owner != self._origin.agent:
                self._present(Operation.SHARE, name)
        return True

    def _require_replaceable(self, node: MemoryNode, new: str) -> None:
        """POSIX: a file replaces a file, a directory an empty directory."""
        target = self._taken(Operation.DELETE, new)
        if new in FIXED:
            raise InUse(f"{new}: is a fixed place of the store and cannot be replaced")
        if target.kind is Kind.DIRECTORY and node.kind is not Kind.DIRECTORY:
            raise IsADirectory(f"{new}: is a directory, and a file cannot replace it")
        if target.kind is not Kind.DIRECTORY and node.kind is Kind.DIRECTORY:
            raise NotADirectory(f"{new}: is not a directory, and a directory cannot replace it")
        self._expire(new, below=True)
        if len(self.state.below(new)) > 1:
            raise NotEmpty(f"{new}: the directory is not empty")

    def rename_prefix(self, old: str, new: str) -> Moved:
        self._alive()
        for name in [name for name in self.state.names if name.startswith(old)]:
            if split(name)[0] == split(old)[0]:
                self._expire(name)
        names = sorted(name for name in self.state.names if name.startswith(old))
        for top in [name for name in names if split(name)[0] == split(old)[0] and name != "/"]:
            try:
                self._present(Operation.STAT, top)
            except NotFound:  # it does not exist for this agent
                names = [name for name in names if not is_within(name, top)]
        if not names or old == new:
            return Moved(0, len(self.state.journal))
        pairs = [(name, new + name[len(old) :]) for name in names]
        for source, target in pairs:
            self._present(Operation.DELETE, source)
            if source in FIXED:
                raise InUse(f"{source}: is a fixed place of the store and cannot be moved")
            if is_within(target, source):
                raise Invalid(f"{source}: cannot be moved into itself ({target})")
        targets = {target for _, target in pairs}
        for _, target in pairs:
            if target in self.state.names and target not in names:
                self._present(Operation.STAT, target)
                raise Exists(f"{target}: exists already")
            self._check(Operation.CREATE, self.state.find(target, directory=True))
            if split(target)[0] not in targets:
                self._require_parents(target, True)
        widening = [
            target
            for source, target in pairs
            if split(source)[0] not in names and self._judge_widening(source, target)
        ]
        for _, target in pairs:
            if split(target)[0] not in targets:
                self._make_parents(target)
        sequence = self._move(pairs, names)
        for target in widening:
            self._widened(target, sequence)
        return Moved(len(pairs), sequence, tuple(pairs))

    def _move(self, pairs: list[tuple[str, str]], names: list[str]) -> int:
        """Journal the moves in `pairs` and give all `names` their new paths; returns the last sequence."""
        state = self.state
        sequence = 0
        for old, new in pairs:
            node = self._carry_widened(old)
            self._touch_with_parent(old)
            sequence = self._append(journal.RENAME, new, node.id, node.version, len(node.data), old_path=old)
            state.nodes[node.id] = replace(node, changed_ns=self._now)
            self.everything |= node.kind is Kind.DIRECTORY
        moving = {name: state.names.pop(name) for name in names}
        for name, id in moving.items():
            state.names[_moved(name, pairs)] = id
            state.since[_moved(name, pairs)] = state.since.pop(name)
        for _, new in pairs:
            self._touch_with_parent(new)
            self._reclassify(new)
        for row in state.journal[-len(pairs) :]:
            state.since[row.change.path] = row.change.sequence
        return sequence

    # --- rights ----------------------------------------------------------------------------------

    def set_mode(self, path: str, mode: int) -> Stat:
        node = self._present(Operation.MODE, path)
        if not 0 <= mode <= 0o7777:
            raise Invalid(f"{path}: {mode:#o} is not a mode (0 to 0o7777)")
        return self._alter(
            journal.MODE, path, replace(node.who, mode=mode), {"mode": mode, journal.BEFORE: node.who.mode}
        )

    def set_owner(self, path: str, owner: str | None = None, group: str | None = None) -> Stat:
        node = self._present(Operation.MODE, path)
        if owner == "" or group == "":
            raise Invalid(f"{path}: an owner or group has a name")
        who = replace(node.who, owner=owner or node.who.owner, group=group or node.who.group)
        before = {"owner": node.who.owner, "group": node.who.group}
        details = {"owner": who.owner, "group": who.group, journal.BEFORE: before}
        return self._alter(journal.OWNER, path, who, details)

    def set_posix_owner(self, path: str, uid: int | None = None, gid: int | None = None) -> Stat:
        node = self._present(Operation.MODE, path)
        new = node.uid if uid is None else uid, node.gid if gid is None else gid
        if not all(0 <= number < 2**32 for number in new):
            raise Invalid(f"{path}: uid and gid are from 0 to 4,294,967,295")
        if new != (node.uid, node.gid):
            details = {"uid": new[0], "gid": new[1], journal.BEFORE: {"uid": node.uid, "gid": node.gid}}
            self._append(journal.CHOWN, path, node.id, node.version, len(node.data), details=details)
            self._put(path, replace(node, uid=new[0], gid=new[1], changed_ns=self._now))
        return self._stat(path)

    def set_times(self, path: str, accessed_ns: int | None = None, modified_ns: int | None = None) -> Stat:
        node = self._present(Operation.WRITE, path)
        accessed = (node.accessed_ns or node.modified_ns) if accessed_ns is None else accessed_ns
        modified = node.modified_ns if modified_ns is None else modified_ns
        if not all(-(2**63) <= moment < 2**63 for moment in (accessed, modified)):
            raise Invalid(f"{path}: a time is out of what can be kept")
        before = {"accessed_ns": node.accessed_ns or node.modified_ns, "modified_ns": node.modified_ns}
        details = {"accessed_ns": accessed, "modified_ns": modified, journal.BEFORE: before}
        self._append(journal.TIMES, path, node.id, node.version, len(node.data), details=details)
        self._put(path, replace(node, accessed_ns=accessed, modified_ns=modified, changed_ns=self._now))
        return self._stat(path)

    def set_attribute(
        self, path: str, name: str, value: bytes, *, create: bool = False, replace: bool = False
    ) -> None:
        node = self._present(Operation.WRITE, path)
        if not name or "\0" in name or len(name.encode()) > 255:
            raise Invalid(f"{name!r} is no name of an attribute")
        if len(value) > 64 * 1024:
            raise TooLarge(f"{name!r}: the value is over 64 KiB")
        if create and name in node.xattrs:
            raise Exists(f"{path}: has {name!r} already")
        if replace and name not in node.xattrs:
            raise NoAttribute(f"{path}: has no {name!r}")
        self._put_attributes(path, node, {**node.xattrs, name: value}, name)

    def remove_attribute(self, path: str, name: str) -> None:
        node = self._present(Operation.WRITE, path)
        if name not in node.xattrs:
            raise NoAttribute(f"{path}: has no {name!r}")
        self._put_attributes(path, node, {key: node.xattrs[key] for key in node.xattrs if key != name}, name)

    def _put_attributes(self, path: str, node: MemoryNode, values: Mapping[str, bytes], name: str) -> None:
        self._append(journal.XATTR, path, node.id, node.version, len(node.data), details={"name": name})
        self._put(path, replace(node, xattrs=MappingProxyType(values), changed_ns=self._now))

    def _put(self, path: str, node: MemoryNode) -> None:
        self.state.nodes[node.id] = node
        self._touch_with_parent(path)

    def _stat(self, path: str) -> Stat:
        stat = self.state.find(path).stat
        assert stat is not None
        return stat

    def share(self, path: str, agent: str, access: Access | None) -> None:
        node = self._present(Operation.SHARE, path)
        if access not in ("r", "rw", None):
            raise Invalid(f"{path}: a share grants 'r' or 'rw', not {access!r}")
        shares = {name: granted for name, granted in node.who.shares.items() if name != agent}
        if access is not None:
            shares[agent] = access
        who = replace(node.who, shares=MappingProxyType(shares))
        details = {"agent": agent, "access": access, journal.BEFORE: node.who.shares.get(agent)}
        self._alter(journal.SHARE, path, who, details)

    def _alter(self, operation: str, path: str, who: NodeClass, details: Mapping[str, JSON]) -> Stat:
        """Change owner, group, mode or shares of a node."""
        node = self.state.nodes[self.state.names[path]]
        if node.who == who:
            return node.stat()
        sequence = self._append(operation, path, node.id, node.version, len(node.data), details=details)
        if operation != journal.MODE or who.mode & ~node.who.mode & 0o555:
            node = replace(node, widened=sequence)
        node = replace(node, who=who, own=self.state.class_id(who), changed_ns=self._now)
        self.state.nodes[node.id] = node
        self.touched.add(node.id)
        self.everything |= node.kind is Kind.DIRECTORY or operation == journal.SHARE
        self._reclassify(path)
        return node.stat()

    def put_user(self, user: User) -> None:
        self._alive()
        if not user.name:
            raise Invalid("an agent has a name")
        self.state.users[user.name] = user
        self._append_user(user)

    def purge(self, retention: Retention) -> Purged:
        """Drop what need not be kept: all of it at once."""
        self._alive()
        state, before = self.state, len(self.state.journal)
        self._expire("/", below=True)
        gone = len(state.journal) - before
        contents = 0
        for (id, number), (version, data) in list(state.versions.items()):
            following = state.versions.get((id, number + 1))
            newest = max(known for other, known in state.versions if other == id)
            if (
                following is not None
                and data is not None
                and following[0].time_ns <= self._now - retention.replaced_ns
                and number <= newest - retention.versions
            ):
                state.versions[id, number] = version, None
                contents += 1
        nodes = [
            id
            for id, deletion in state.trash.items()
            if state.journal[deletion.sequence - 1].change.time_ns <= self._now - retention.deleted_ns
        ]
        for id in nodes:
            del state.trash[id]
            state.nodes[id] = replace(state.nodes[id], data=b"", meta_json=EMPTY)
            for key in [key for key in state.versions if key[0] == id]:
                state.versions[key] = state.versions[key][0], None
            for link in [link for link in state.links if id in (link[0], link[2])]:
                del state.links[link]
        if contents or nodes:
            self._append(journal.PURGE, "", 0, details={"contents": contents, "nodes": len(nodes)})
        return Purged(contents, len(nodes), gone, None)

    # --- links and notes -------------------------------------------------------------------------

    def link(self, source: str, target: str, kind: str, weight: float = 1.0) -> None:
        from_node = self._present(Operation.LINK, source)
        to_node = self._present(Operation.READ, target)
        if not kind:
            raise Invalid(f"{source}: a link has a kind")
        if not math.isfinite(weight):
            raise Invalid(f"{source}: {weight} is not a weight")
        details = {"kind": kind, "target": to_node.id, "weight": weight}
        key = from_node.id, kind, to_node.id
        if key in self.state.links:
            details[journal.BEFORE] = self.state.links[key]
        self._append(
            journal.LINK, source, from_node.id, from_node.version, len(from_node.data), details=details
        )
        self.state.links[from_node.id, kind, to_node.id] = float(weight)
        self.touched |= {from_node.id, to_node.id}

    def unlink(self, source: str, target: str, kind: str | None = None) -> int:
        from_node = self._present(Operation.LINK, source)
        to_node = self._present(Operation.READ, target)
        links = self.state.links
        gone = [key for key in links if key[::2] == (from_node.id, to_node.id) and kind in (None, key[1])]
        for key in gone:
            details = {"kind": key[1], "target": to_node.id, "weight": links.pop(key)}
            self._append(
                journal.UNLINK, source, from_node.id, from_node.version, len(from_node.data), details=details
            )
            self.touched |= {from_node.id, to_node.id}
        return len(gone)

    def note(self, operation: str, details: Mapping[str, JSON]) -> int:
        self._alive()
        return self._append(operation, "", 0, details=details)

    # --- asking ----------------------------------------------------------------------------------

    def _alive(self) -> None:
        if not self.open:
            raise StoreError("this transaction has ended")

    def _present(self, operation: Operation, path: str) -> MemoryNode:
        """Ask the check, then say NotFound where there is nothing."""
        self._alive()
        self._expire(path)
        self._check(operation, self.state.find(path, directory=operation is Operation.DELETE))
        node = self.state.at(path)
        if node is None:
            raise NotFound.at(path)
        return node

    def _expire(self, path: str, *, below: bool = False) -> None:
        """Take away a name (and those below it) whose node has expired: it blocks nothing."""
        for name in self.state.below(path) if below else [path]:
            node = self.state.at(name)
            if node is not None and _expired(node):
                self._remove(name, node.id, expired=True)

    def _taken(self, operation: Operation, path: str) -> MemoryNode:
        """A name that is taken; to whom may not know of it, the answer is as if it were absent."""
        try:
            return self._present(operation, path)
        except NotFound:
            found = self.state.find(path, directory=True)
            self._check(Operation.CREATE, found._replace(stat=None, own=0))
            raise

    def _present_or_creatable(self, path: str) -> MemoryNode | None:
        """Ask to write what is there, or to create what is not."""
        self._expire(path)
        if path in self.state.names:
            return self._taken(Operation.WRITE, path)
        self._alive()
        self._check(Operation.CREATE, self.state.find(path, directory=True))
        return None

    def _require_parents(self, path: str, make: bool) -> None:
        """Raise where the directory of `path` is not there and cannot, or must not, be made."""
        parent = split(path)[0]
        self._expire(parent)
        while (node := self.state.at(parent)) is None:
            if not make:
                raise NotFound.at(parent)
            parent = split(parent)[0]
            self._expire(parent)
        if node.kind is not Kind.DIRECTORY:
            raise NotADirectory(f"{parent}: is not a directory")

    # --- changing --------------------------------------------------------------------------------

    def _append(
        self,
        operation: str,
        path: str,
        node: int | None,
        version: int = 0,
        size: int = 0,
        hash: bytes | None = None,
        *,
        old_path: str | None = None,
        details: Mapping[str, JSON] | None = None,
    ) -> int:
        """Append a journal row and return its sequence, which is also the id of the node it makes (None)."""
        state, origin = self.state, self._origin
        if origin.agent not in state.users:
            state.users[origin.agent] = User(origin.agent)
            self._append_user(state.users[origin.agent])
        sequence = len(state.journal) + 1
        if self.undoing is not None:
            details = {**(details or {}), journal.UNDOES: self.undoing}
        if self.attributed is not None:
            details = {**(details or {}), journal.ATTRIBUTED: dict(self.attributed)}
        if self.part_of is not None:
            details = {**(details or {}), journal.RUN: self.part_of}
        change = Change(
            sequence,
            self._now,
            operation,
            sequence if node is None else node,
            path,
            old_path,
            version,
            size,
            hash,
            origin.agent,
            origin.actor,
            origin.door,
            None if details is None else MappingProxyType(json.loads(json_text(details))),
        )
        salt = os.urandom(journal.SALT_SIZE)
        previous = state.journal[-1].chain if state.journal else journal.GENESIS
        commitment = state.commitment(change, salt)
        chain = journal.chain(previous, sequence, self._now, operation, commitment)
        state.journal.append(Row(change, salt, chain))
        return sequence

    def _append_user(self, user: User) -> None:
        held = None if user.capabilities is None else sorted(user.capabilities)
        details = {"name": user.name, "groups": sorted(user.groups), "capabilities": held}
        self._append(journal.USER, "", 0, details=details)
        self.everything = True

    def _make_parents(self, path: str) -> None:
        parent = split(path)[0]
        if parent not in self.state.names:
            self._make_parents(parent)
            self._mkdir(parent)

    def _mkdir(self, path: str) -> MemoryNode:
        return self._put_new(path, self._append(journal.MKDIR, path, None), Kind.DIRECTORY)

    def _put_new(self, path: str, id: int, kind: Kind) -> MemoryNode:
        """A node of its own, as the place where it is made asks for."""
        owner = space_of(path) or self._origin.agent  # what is made in a private space belongs to its agent
        mode = 0o777 if kind is Kind.DIRECTORY else 0o666
        if space_of(path) is not None:
            mode &= 0o700
        group, gid = owner, self._origin.gid
        above = self.state.nearest(path) if path != "/" else None
        if above is not None and above.who.mode & 0o2000:
            group, gid = above.who.group, above.gid
            mode |= 0o2000 if kind is Kind.DIRECTORY else 0
        who = NodeClass(owner, group, mode)
        node = MemoryNode(
            id, kind, who, self._now, self._origin.uid, gid, own=self.state.class_id(who),
            widened=id,
        )  # fmt: skip
        self.state.nodes[id] = replace(node, modified_ns=self._now, changed_ns=self._now)
        self.state.names[path] = self.state.since[path] = id
        self._touch_with_parent(path)
        self._reclassify(path)
        return self.state.nodes[id]

    def _remove(self, path: str, top: int, *, expired: bool = False) -> None:
        """Take a name away; the node stays for whoever restores it."""
        node, parent = self._carry_widened(path), self.state.nearest(path)
        details: dict[str, JSON] = {journal.CLASS: parent.inside}
        if expired:
            details[journal.EXPIRED] = True
        if node.id != top:
            details[journal.WITHIN] = top
        sequence = self._append(journal.DELETE, path, node.id, node.version, len(node.data), details=details)
        by = node.who.owner if expired else self._origin.agent
        self._touch_with_parent(path)
        del self.state.names[path], self.state.since[path]
        if not self.state.names_of(node.id):
            self.state.trash[node.id] = Deletion(path, parent.id, parent.inside, sequence, top, by)

    def _reclassify(self, path: str) -> None:
        """Work out the classes of the directories at and below a path."""
        state = self.state
        if state.nodes[state.names[path]].kind is not Kind.DIRECTORY:
            return
        for name in state.below(path):
            node = state.nodes[state.names[name]]
            if node.kind is Kind.DIRECTORY:
                inside = state.class_id(state.class_inside(name))
                state.nodes[node.id] = replace(node, inside=inside)

    def _touch_with_parent(self, path: str) -> None:
        """For the bell: the node at a path, and the directory whose names change."""
        self.touched |= {self.state.names[path], self.state.nearest(path).id}


def _expired(node: MemoryNode) -> bool:
    return node.expires_ns is not None and node.expires_ns <= time.time_ns()


def _moved(name: str, pairs: list[tuple[str, str]]) -> str:
    """The new path of a name: its own pair's, or that of the one directory that moves."""
    paths = dict(pairs)
    old, new = pairs[0]
    return paths[name] if name in paths else new + name[len(old) :]
