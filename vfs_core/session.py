"""The session: the only thing that can touch a node. Every door opens one, for one principal.

A session parses what it is given once, asks the routes who serves it and the policy whether it may, and
calls the store, a handler or a suffix. It has no rules of its own. Its companions do the rest of its work:
`vfs_core.finding` (search, tags, links, counts) and `vfs_core.explaining` (who may do what, and why).
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from vfs_core import filing, finding, forgetting, hindsight, keeping, searching, shortcuts, undoing
from vfs_core.bell import EPOCH
from vfs_core.config_schema import near
from vfs_core.errors import (
    CrossHandler,
    Denied,
    Exists,
    Invalid,
    IsADirectory,
    NotADirectory,
    NotFound,
    PluginError,
    ReadOnly,
    Unsupported,
    VfsError,
)
from vfs_core.explaining import AccessReport, explain
from vfs_core.finding import Stats
from vfs_core.follower import Progress
from vfs_core.forgetting import Forgotten, Trace
from vfs_core.hindsight import BlamedLine, View
from vfs_core.hotcache import HotCache
from vfs_core.identity import origin_of
from vfs_core.journal import SUDO
from vfs_core.keeping import Backup
from vfs_core.meta import normalize_tags, tags_of
from vfs_core.moments import Moment, as_ns
from vfs_core.names import check_agent_name
from vfs_core.past import EXPIRED_UNSEEN, Trashed
from vfs_core.path import MEMORY, PRIVATE, Ref, join, normalize, parse, split, split_suffix
from vfs_core.permissions import Judge
from vfs_core.providers import synthetic_stat
from vfs_core.reactor import LINKS
from vfs_core.retrospect import Retrospect
from vfs_core.routing import Matched
from vfs_core.searching import EVERYTHING, Filter, Mode, Ranked, Results
from vfs_core.storage import Copy, Found, Moved, Operation, Snapshot, Store, Transaction
from vfs_core.suffix import BaseSuffix, SuffixContext, check_query, content_of
from vfs_core.types import (
    JSON,
    SYMMETRIC_LINKS,
    Access,
    Change,
    Draft,
    Entry,
    Kind,
    Link,
    Node,
    Origin,
    Principal,
    Stat,
    Version,
)
from vfs_core.undoing import UndoReport

if TYPE_CHECKING:
    from vfs_core.kernel import Kernel

Result = TypeVar("Result")

_FILE = Kind.FILE
_REMEMBERED = 10_000
_PAGE = 1000
"""Entries of a directory that are fetched at a time."""
RESERVED = ("trash", "tell", "hooks", "index", "gossip", ".avm")
"""First components that are places of AVM and not of the store."""


class Session:
    """What one principal does. Safe to use from several threads. Made by `Kernel.session`."""

    moment_ns: int | None = None
    """When it looks at the memory; None: now. See `at`."""

    def __init__(self, kernel: Kernel, principal: Principal) -> None:
        self.kernel = kernel
        self.principal = principal
        self._origin = origin_of(principal)
        cache = kernel.config.cache
        self._cache = HotCache(cache.entries, cache.bytes)
        self._may_cache = principal.key is None and not principal.elevated_until_ns
        """Whether what it may read now it may read until something changes."""
        self._judge: Judge | None = None
        self._plain: dict[str, str] = {}
        self._writable: dict[str, str] = {}

    # --- reading ---------------------------------------------------------------------------------

    def read(self, path: str) -> Node:
        """The node at a path, or what a suffix or a handler gives for it.

        Raises NotFound (also for what the agent may not know of), Denied, IsADirectory.
        """
        entry = self._cache.young.get(path)
        if entry is not None:
            node, slot, tag, words = entry
            if words[slot] <= tag and words[EPOCH] <= tag:
                return node
        return self._read_cold(path)

    def _read_cold(self, text: str) -> Node:
        if text in self._cache.old:
            node = self._cache.promote(text)
            if node is not None:
                return node
        path = self._plain.get(text)
        if path is None:
            ref = self._parse(text)
            if ref.suffix is not None:
                return self._read_suffix(ref, delivered=True)
            matched = self._match(ref.path)
            if matched is not None:
                self.judge.check_provided(Operation.READ, ref.path)
                return self.kernel.providers.read(matched, ref.path, self, ref.query)
            if ref.directory or self._is_synthetic(ref.path):
                return self._refuse_directory(ref.path)
            path = ref.path
            self._remember(self._plain, text, path)
        kernel = self.kernel
        generation, store = kernel.generation, kernel.store
        judge = self._judge
        if judge is None or judge.store is not store or judge.policy is not kernel.policy:
            judge = self.judge
            store = judge.store
        found = store.read(path, judge.check_read)
        stat = found.stat
        assert stat is not None
        if stat.kind is not _FILE:
            filing.refuse_special(path, stat)
            return self.read(filing.follow(self, path))
        node = tuple.__new__(
            Node, (path, found.data, stat, found.meta_json, ())
        )  # half the time of Node(...)
        # The bell does not ring when a moment comes.
        if self._may_cache and stat.expires_ns is None and self._cache.meet(text):
            self._cache.put(text, node, found.sequence, store.bell.words)
            if kernel.generation != generation:  # decided by a policy that has been replaced since
                self._cache.clear()
        return node

    def _refuse_directory(self, path: str) -> NoReturn:
        """What to say of a path that is read as a file and named as a directory."""
        if self.stat(path).is_directory:
            raise IsADirectory(f"{path} is a directory")
        raise NotADirectory(f"{path} is not a directory")

    def stat(self, path: str) -> Stat:
        """What is known of a path, without its content. Raises NotFound."""
        ref = self._parse(path)
        if ref.suffix is not None:
            return synthetic_stat(Kind.FILE, len(self._read_suffix(ref).data))
        matched = self._match(ref.path)
        if matched is not None:
            self.judge.check_provided(Operation.STAT, ref.path)
            return self.kernel.providers.stat(matched, ref.path, self)
        found = self.find(ref.path, Operation.STAT)
        if found is None:
            return synthetic_stat(Kind.DIRECTORY)
        assert found.stat is not None
        return found.stat

    def exists(self, path: str) -> bool:
        """Whether the agent may know of a path."""
        try:
            self.stat(path)
        except (NotFound, NotADirectory):
            return False
        return True

    def find(self, path: str, operation: Operation) -> Found | None:
        """The name in the store, judged; None for a directory that exists only above providers."""
        judge = self.judge
        found = judge.store.find(path)
        if found.stat is None and self._is_synthetic(path):
            if not judge.knows_directory(path):
                raise NotFound.at(path)
            return None
        judge.check(operation, found)
        return found

    # --- listing ---------------------------------------------------------------------------------

    def list(
        self, path: str = "/memory", *, limit: int | None = None, after: str = ""
    ) -> builtins.list[Entry]:
        """The entries of a directory that the agent may know of, by name in binary order.

        At most `limit`, those after the name `after`. Raises NotFound, NotADirectory, Denied.
        """
        ref = self._parse(path)
        if ref.suffix is not None:
            raise NotADirectory(f"{ref} is not a directory")
        entries: list[Entry] = []
        page = _PAGE if limit is None else max(16, min(limit + 1, _PAGE))
        for entry in self._entries(ref.path, after, page):
            if limit is not None and len(entries) >= limit:
                break
            entries.append(entry)
        return entries

    def _entries(self, path: str, after: str, page: int) -> Iterator[Entry]:
        served = self._served_entries(path)
        stored = self._stored_entries(path, after, page) if self._match(path) is None else iter(())
        waiting = sorted(
            (entry for entry in served.values() if entry.name > after), key=lambda entry: entry.name
        )
        for entry in stored:
            while waiting and waiting[0].name < entry.name:
                yield waiting.pop(0)
            if not (waiting and waiting[0].name == entry.name):
                yield entry
        yield from waiting

    def _served_entries(self, path: str) -> dict[str, Entry]:
        """What provider patterns and their handlers put into a directory."""
        routes, providers = self.kernel.routes, self.kernel.providers
        entries: dict[str, Entry] = {}
        route = routes.listing_route(path)
        if route is not None:
            self.judge.check_provided(Operation.LIST, path)
            for entry in providers.list(route, path, self):
                served = routes.match(entry.path) or (entry.is_directory and routes.listing_route(entry.path))
                if served and not split_suffix(entry.name, self.kernel.suffix_names):
                    entries[entry.name] = entry  # what no pattern matches could not be read
        for child in routes.children(path):
            kind = Kind.DIRECTORY if child.is_directory else Kind.FILE
            at = join(path, child.name)
            if path == "/" and child.name in RESERVED:
                continue
            entries[child.name] = Entry(child.name, at, synthetic_stat(kind))
        return {name: entry for name, entry in entries.items() if self.judge.knows_directory(entry.path)}

    def _stored_entries(self, path: str, after: str, size: int) -> Iterator[Entry]:
        """What the store has in a directory, page by page."""
        judge = self.judge
        judge.check_ceiling(Operation.LIST, path)
        found = judge.store.find(path)
        if found.stat is None and self._is_synthetic(path):
            return
        listable = found.stat is None or found.stat.is_directory
        judge.check(Operation.LIST if listable else Operation.STAT, found)
        while True:
            page = judge.store.children(path, after, size)
            judge.check(Operation.LIST, page.directory)
            for found in page.entries:
                if judge.allows(Operation.STAT, found):
                    assert found.stat is not None
                    yield Entry(split(found.path)[1], found.path, found.stat)
            if not page.more:
                return
            after = split(page.entries[-1].path)[1]

    def walk(self, path: str = "/", operation: Operation = Operation.READ) -> Iterator[Found]:
        """Everything in the store at and below a path on which an operation is allowed, parents first.

        Providers are never called. Without content. Raises NotFound, Denied if nothing is at the path.
        """
        path = self._parse(path).path
        top = self.find(path, Operation.STAT)
        if top is None or top.stat is None:
            return
        if self.judge.allows(operation, top):
            yield top
        open_directories = [self._known_children(path)] if top.stat.is_directory else []
        while open_directories:  # not by recursion: a path may have more components than Python has frames
            child = next(open_directories[-1], None)
            if child is None:
                open_directories.pop()
                continue
            if self.judge.allows(operation, child):
                yield child
            if child.stat is not None and child.stat.is_directory:
                open_directories.append(self._known_children(child.path))

    def _known_children(self, path: str) -> Iterator[Found]:
        """What the agent may know of in a stored directory; nothing if it may not be listed, or has gone."""
        after = ""
        while True:
            judge = self.judge
            try:
                page = judge.store.children(path, after)
            except NotADirectory:
                return
            if not judge.allows(Operation.LIST, page.directory):
                return
            for child in page.entries:
                if judge.allows(Operation.STAT, child):
                    yield child
            if not page.more:
                return
            after = split(page.entries[-1].path)[1]

    # --- changing --------------------------------------------------------------------------------

    def write(
        self,
        path: str,
        content: bytes | str,
        meta: Mapping[str, JSON] | None = None,
        *,
        base_version: int | None = None,
    ) -> Version:
        """Replace (or create) the content at a path; missing parents are made.

        `meta` None keeps the metadata, a mapping merges into it, a None in it removes a key; `tags` in it are the
        tags. `base_version` is the version that the content was based on (0: must not exist). Raises Conflict if
        it has moved on, NotFound, Denied, IsADirectory, Invalid.
        """
        data = _as_bytes(content)
        stored = self._writable.get(path)
        if stored is None:
            ref = self._parse(path)
            if ref.suffix is not None:
                self._refuse_extras(str(ref), meta, base_version)
                self._write_suffix(ref, data)
                return _no_version(str(ref), self.principal.agent, data)
            matched = self._match(ref.path)
            if matched is not None:
                self._refuse_extras(ref.path, meta, base_version)
                self.judge.check_provided(Operation.WRITE, ref.path)
                self.kernel.providers.write(matched, ref.path, data, self)
                return _no_version(ref.path, self.principal.agent, data)
            stored = self._check_file_name(ref)
            self._remember(self._writable, path, stored)
        with self.transaction() as tx:
            return tx.write(stored, data, patch=meta, base_version=base_version)

    def write_many(self, notes: Sequence[tuple[str, bytes | str] | Draft]) -> builtins.list[Version]:
        """Write several files in one transaction: all or none."""
        known = self._writable
        drafts = []
        for note in notes:
            path, content, meta, base = (*note, None, None) if len(note) == 2 else Draft(*note)
            stored = known.get(path) or self.writable_path(path)
            drafts.append((stored, _as_bytes(content), meta, base))
        with self.transaction() as tx:
            write = tx.write
            return [write(path, data, patch=meta, base_version=base) for path, data, meta, base in drafts]

    def writable_path(self, text: str) -> str:
        """The path of a file in the store that may be made under this name."""
        path = self._writable.get(text)
        if path is None:
            path = self._check_file_name(self._stored(text))
            self._remember(self._writable, text, path)
        return path

    def append(self, path: str, content: bytes | str) -> Version:
        """Add to the end of a file, creating it if absent. Concurrent appends never lose each other."""
        data = _as_bytes(content)
        if path not in self._writable:
            ref = self._parse(path)
            matched = self._match(ref.path) if ref.suffix is None else None
            if matched is not None:
                self.judge.check_provided(Operation.WRITE, ref.path)
                self.kernel.providers.append(matched, ref.path, data, self)
                return _no_version(ref.path, self.principal.agent, data)
        stored = self.writable_path(path)
        with self.transaction() as tx:
            return tx.append(stored, data)

    def update_meta(self, path: str, patch: Mapping[str, JSON]) -> dict[str, JSON]:
        """Merge into a node's metadata (None removes a key) and return all of it, if the agent may read it."""
        ref = self._stored(path)
        with self.transaction() as tx:
            found = tx.find(ref.path)
            meta = tx.update_meta(ref.path, patch)
        return meta if self.judge.allows(Operation.READ, found) else {}

    def tag(self, path: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> builtins.list[str]:
        """Add tags to a node and take others away, in one transaction; returns those that it then has."""
        ref = self._stored(path)
        with self.transaction() as tx:
            found = tx.find(ref.path)
            held = set(tags_of(found.meta_json))
            tags = held.union(normalize_tags(add)).difference(normalize_tags(remove))
            kept: builtins.list[str] = tx.update_meta(ref.path, {"tags": sorted(tags)}).get("tags", [])
        return kept if self.judge.allows(Operation.READ, found) else []

    def mkdir(self, path: str, *, parents: bool = False, exist_ok: bool = False) -> Stat:
        """Make a directory. Raises Exists, or NotFound where a parent is missing and not to be made."""
        ref = self._stored(path)
        if self._is_synthetic(ref.path):
            if exist_ok:
                return self.stat(ref.path)
            raise Exists(f"{ref.path} exists already")
        self._check_new_name(ref)
        with self.transaction() as tx:
            return tx.mkdir(ref.path, parents=parents, exist_ok=exist_ok)

    def delete(self, path: str, *, recursive: bool = False) -> int:
        """Remove a name, with `recursive` all below it; returns how many. Raises NotEmpty, InUse."""
        ref = self._parse(path)
        matched = self._match(ref.path) if ref.suffix is None else None
        if matched is not None:
            self.judge.check_provided(Operation.DELETE, ref.path)
            self.kernel.providers.delete(matched, ref.path, self)
            return 1
        ref = self._stored(path)
        if self._is_synthetic(ref.path) and self.find(ref.path, Operation.STAT) is None:
            raise ReadOnly(
                f"{ref.path} is a directory of the configured providers, and stays as long as they do"
            )
        with self.transaction() as tx:
            return tx.delete(ref.path, recursive=recursive)

    def rename(self, old: str, new: str, *, replace: bool = False) -> Moved:
        """Move a node, or a directory with all below it; ids, links, tags and shares stay.

        Raises Exists (unless `replace`), CrossHandler, NotOwner where it would widen who may read.
        """
        source, target = self._parse(old), self._parse(new)
        from_route, to_route = self._match(source.path), self._match(target.path)
        if source.suffix is None and target.suffix is None and (from_route or to_route):
            if from_route is None or to_route is None or from_route.route is not to_route.route:
                raise CrossHandler(
                    f"{source.path} and {target.path} are served by different handlers; copy instead"
                )
            self.judge.check_provided(Operation.DELETE, source.path)
            self.judge.check_provided(Operation.CREATE, target.path)
            self.kernel.providers.rename(from_route, source.path, target.path, self)
            return Moved(1, 0, ((source.path, target.path),))
        source, target = self._stored(old), self._stored(new)
        self._refuse_space(source)
        self._refuse_space(target)
        with self.transaction() as tx:
            moved = tx.rename(source.path, target.path, replace=replace)
            self.check_moved(moved)
            return moved

    def rename_prefix(self, old: str, new: str) -> Moved:
        """Move every name that starts with the path prefix `old` to the same name under `new`, all or none.

        Raises NotFound if there is none.
        """
        source, target = self._stored(old), self._stored(new)
        prefix, to = source.path, target.path
        if source.directory or target.directory:
            raise Invalid("a prefix does not end in a slash; move the directory itself")
        with self.transaction() as tx:
            moved = tx.rename_prefix(prefix, to)
            for path in (path for pair in moved.paths for path in pair):
                self._refuse_space(Ref(path))
            self.check_moved(moved)
        if not moved.nodes:
            raise NotFound(f"{old}: nothing begins with this prefix")
        return moved

    def check_moved(self, moved: Moved) -> None:
        """Refuse a move to a reserved name, and of a directory out of, or into, rules that hold for what is in it.

        In the transaction that has moved it, which is not visible to `store.children` yet.
        """
        policy, agent = self.kernel.policy, self.principal.agent
        for old, new in moved.paths:
            self._check_new_name(Ref(new))
            if policy.is_uniform_below(old, agent) and policy.is_uniform_below(new, agent):
                continue
            waiting = [old]
            while waiting:
                directory = waiting.pop()
                found = self.store.find(directory)
                if found.stat is None or not found.stat.is_directory:
                    continue
                for entry in children_of(self.store, directory):
                    self.judge.check_ceiling(Operation.DELETE, entry.path)
                    self.judge.check_ceiling(Operation.CREATE, new + entry.path[len(old) :])
                    waiting.append(entry.path)

    # --- as file systems do ----------------------------------------------------------------------

    def read_range(self, path: str, offset: int, size: int) -> bytes:
        """At most `size` bytes of a file from `offset` on; fewer at its end. Raises NotFound, Denied, IsADirectory."""
        return filing.read_range(self, self._stored(path).path, offset, size)

    def write_range(
        self, path: str, offset: int, content: bytes, *, snapshot: Snapshot | None = None
    ) -> Version:
        """Put bytes into a file that is there; what lies before them and was not there reads as zeros.

        A writer that commits often gives the `snapshot` of where it began: what it replaces of its own is not kept.
        """
        return filing.write_range(self, self._stored(path).path, offset, _as_bytes(content), snapshot)

    def truncate(self, path: str, size: int, *, snapshot: Snapshot | None = None) -> Version:
        """Cut a file to a size, or let it grow by a hole that takes no space."""
        return filing.truncate(self, self._stored(path).path, size, snapshot)

    def write_blocks(
        self,
        path: str,
        blocks: Iterable[bytes],
        meta: Mapping[str, JSON] | None = None,
        *,
        base_version: int | None = None,
    ) -> Version:
        """`write` of a content that comes block by block: memory stays flat, and it is there wholly or not at all."""
        return filing.write_blocks(self, self.writable_path(path), blocks, meta, base_version)

    def names(self, path: str) -> builtins.list[str]:
        """The names of a node that the agent may know of: several where there are hard links."""
        judge = self.judge
        found = judge.store.find(self._stored(path).path)
        judge.check(Operation.STAT, found)
        assert found.stat is not None
        known = judge.store.nodes([found.stat.id])
        return sorted(each.path for each in known if judge.allows(Operation.STAT, each))

    def symlink(self, target: str, path: str) -> Stat:
        """Make a symlink to any text. Reading follows a relative one inside the memory."""
        return filing.make_special(self, self._new_path(path), Kind.SYMLINK, target, 0)

    def read_link(self, path: str) -> str:
        """The target of a symlink. Raises Invalid for anything else."""
        return filing.read_link(self, self._stored(path).path)

    def make_special(self, path: str, kind: Kind, device: int = 0) -> Stat:
        """Make a fifo, a socket, or a block or character device node, which other programs find by it."""
        return filing.make_special(self, self._new_path(path), kind, "", device)

    def hard_link(self, source: str, new: str) -> Stat:
        """Give a node that is no directory one more name. Needs to write it; NotOwner where more could then read it."""
        return filing.hard_link(self, self._stored(source).path, self._new_path(new))

    def attributes(self, path: str) -> dict[str, bytes]:
        """The extended attributes of a node."""
        return filing.attributes(self, self._stored(path).path)

    def set_attribute(
        self, path: str, name: str, value: bytes | None, *, create: bool = False, replace: bool = False
    ) -> None:
        """Set an extended attribute (None removes it): at most 255 bytes of name and 64 KiB of value.

        Raises Exists with `create` where it is there, NoAttribute with `replace` or None where it is not.
        """
        filing.set_attribute(self, self._stored(path).path, name, value, create, replace)

    def set_times(self, path: str, accessed_ns: int | None = None, modified_ns: int | None = None) -> Stat:
        """Set the times of access and of modification, in ns since the epoch; None keeps."""
        return filing.set_times(self, self._stored(path).path, accessed_ns, modified_ns)

    def set_posix_owner(self, path: str, uid: int | None = None, gid: int | None = None) -> Stat:
        """Set the numbers that POSIX shows for owner and group; None keeps. They give nobody any right here."""
        return filing.set_posix_owner(self, self._stored(path).path, uid, gid)

    def _new_path(self, text: str) -> str:
        """The path of something that is no directory and may be made under this name."""
        return self._check_file_name(self._stored(text))

    # --- the past --------------------------------------------------------------------------------

    def last_version(self, found: Found) -> Version:
        """The present version of a note that was found: who wrote it last, and when. Raises NotFound, Denied."""
        judge = self.judge
        judge.check(Operation.READ, found)
        assert found.stat is not None
        versions = judge.store.versions(found.stat.id, None, 1)
        if not versions:
            raise NotFound.at(found.path)
        return versions[0]

    def history(self, path: str, limit: int = 100, *, before: int | None = None) -> builtins.list[Version]:
        """The versions of a note that the agent may see, newest first, those below the version `before`."""
        return hindsight.history(self._view, self._stored(path).path, limit, before)

    def as_of(self, path: str, *, version: int | None = None, time: Moment | None = None) -> Node:
        """A note as one of its versions was, or what was at a path at a time.

        `time` is in ns since the epoch, a datetime (local if it has no zone), or text such as `2026-03-20` (the end of
        that day) or `2h` (ago). Raises NotFound, VersionGone where retention has dropped the content, IsADirectory.
        """
        if (version is None) == (time is None):
            raise Invalid("as_of takes a version or a time, one of the two")
        ref = self._stored(path)
        if version is not None:
            return hindsight.at_version(self._view, ref.path, version)
        assert time is not None
        return hindsight.at_time(self._view, ref.path, as_ns(time, end=True))

    def list_as_of(self, path: str, time: Moment) -> Iterator[Entry]:
        """What a directory held at a time, as far as the agent may know, by name."""
        return hindsight.list_at(self._view, self._stored(path).path, as_ns(time, end=True))

    def diff(self, path: str, old: int | None = None, new: int | None = None) -> str:
        """A unified diff of two versions of a note, by default the last two; empty if they are equal."""
        return hindsight.diff(self._view, self._stored(path).path, old, new)

    def blame(self, path: str) -> builtins.list[BlamedLine]:
        """For each line of a note, the version that brought it."""
        return hindsight.blame(self._view, self._stored(path).path)

    def trash(self, limit: int = 100, *, before: int | None = None) -> builtins.list[Trashed]:
        """What the agent owned or deleted and can restore, last deleted first, deleted before a journal row."""
        return hindsight.trash(self._view, limit, before)

    def restore(self, path: str, *, to: str | None = None) -> Moved:
        """Bring back what was deleted last at a path, with all that was deleted with it, there or at `to`.

        It keeps its id, versions, links, tags and shares. Raises NotFound, Exists, NotOwner where more agents could
        read it than before.
        """
        source = self._stored(path)
        target = None if to is None else self._check_file_name(self._stored(to))
        trashed = hindsight.find_trashed(self._view, source.path)
        with self.transaction() as tx:
            again = tx.trashed(trashed.stat.id)
            if again is None or (again.sequence != trashed.sequence and trashed.sequence < EXPIRED_UNSEEN):
                raise NotFound.at(source.path)
            moved = tx.restore(trashed.stat.id, target)
            self.check_moved(moved)
            return moved

    def undo(
        self,
        path: str | None = None,
        *,
        agent: str | None = None,
        since: Moment | None = None,
        run: str | None = None,
        steps: int = 1,
        dry_run: bool = False,
    ) -> UndoReport:
        """Take back the last `steps` changes of a node, all since a time (below a path, by an agent), or a run.

        Undoing changes nothing but by new changes, so it can be looked back at too. What others have changed since is
        left alone and reported as skipped. Raises Invalid, NotFound; for one node also Conflict and Denied.
        """
        target = None if path is None else self._stored(path).path
        if run is not None:
            if target is not None or agent is not None or since is not None:
                raise Invalid("undo takes a run by itself")
            return undoing.undo_run(self, run, dry_run=dry_run)
        if since is not None:
            if target is None and agent is None:
                raise Invalid("undo since a time takes a path or an agent, or both")
            return undoing.undo_since(self, target, agent, as_ns(since), dry_run=dry_run)
        if target is None or agent is not None or steps < 1:
            raise Invalid("undo takes a path, or a time with a path or an agent")
        return undoing.undo_last(self, target, steps, dry_run=dry_run)

    def set_expiry(self, path: str, expires_ns: int | None) -> None:
        """Let a note expire at a time (ns since the epoch; None: never); then it is in the trash."""
        ref = self._stored(path)
        with self.transaction() as tx:
            tx.set_expiry(ref.path, expires_ns)

    # --- who may ---------------------------------------------------------------------------------

    def share(self, path: str, agent: str, access: Access | None = "r") -> None:
        """Let another agent read (`r`) or write (`rw`) a node, on a directory all in it; None takes it back.

        Only the owner may. Raises NotOwner, and Invalid where agents are configured and this is none of them.
        """
        ref = self._stored(path)
        with self.transaction() as tx:
            if access is not None:  # whom there is, only to who may share
                self.judge.check(Operation.SHARE, tx.find(ref.path))
                self._known_agent(agent)
            tx.share(ref.path, check_agent_name(agent), access)

    def set_shares(self, path: str, shares: Mapping[str, Access]) -> None:
        """Make the shares of a node exactly these, in one transaction."""
        ref = self._stored(path)
        with self.transaction() as tx:
            found = tx.find(ref.path)
            self.judge.check(Operation.SHARE, found)
            held = self.store.node_class(found.own).shares
            for agent in held.keys() - shares.keys():
                tx.share(ref.path, agent, None)
            for agent, access in shares.items():
                if held.get(agent) != access:
                    tx.share(ref.path, self._known_agent(agent), access)

    def _known_agent(self, name: str) -> str:
        """The name of an agent to share with: any, unless the configuration says which there are."""
        check_agent_name(name)
        declared = self.kernel.config.users
        known = {*(declared or ()), *self.store.users()}
        if declared is not None and name not in known:
            raise Invalid(f"there is no agent {name!r} to share with; {near(name, known)}")
        return name

    def shares(self, path: str) -> dict[str, Access]:
        """The agents that a node is shared with, and how."""
        found = self.require_stored(path, Operation.READ)
        return dict(self.store.node_class(found.own).shares)

    def set_mode(self, path: str, mode: int) -> Stat:
        """Set the permission bits. Only the owner may."""
        ref = self._stored(path)
        with self.transaction() as tx:
            return tx.set_mode(ref.path, mode)

    def set_owner(self, path: str, owner: str | None = None, group: str | None = None) -> Stat:
        """Give a node another group (the owner may, one of its own) or owner (only while elevated)."""
        ref = self._stored(path)
        if owner is not None and not self.judge.is_elevated():
            raise Denied(f"{ref.path}: only an elevated session may change an owner")
        if group is not None and not self.judge.is_elevated() and group not in self.judge.groups():
            raise Denied(f"{ref.path}: {self.principal.agent} is not in the group {group}")
        with self.transaction() as tx:
            return tx.set_owner(ref.path, owner, group)

    def elevated(self, seconds: float = 300.0) -> Session:
        """A session of the same agent that passes spaces and modes for a time. Needs `sudo`; journalled."""
        self.judge.require("sudo", "act with elevated rights")
        if not 0 < seconds <= 3600:
            raise Invalid(f"elevation lasts up to 3,600 seconds, not {seconds:g}")
        with self.transaction() as tx:
            tx.note(SUDO, {"seconds": seconds})
        until = time.time_ns() + int(seconds * 1e9)
        return self.kernel.open_session(replace(self.principal, elevated_until_ns=until))

    # --- proof and care --------------------------------------------------------------------------

    def backup(
        self, target: str | Path | None = None, step: Callable[[int, int], None] | None = None
    ) -> Backup:
        """Copy the whole store, as it is at one moment, to a new file, and verify it.

        Without a target it is named after the time, in `backups` beside the store. `step` is called with (done, total).
        Only for who owns the store's file or is `admin`. Raises Denied, Exists, NoSpace.
        """
        return keeping.backup(self, target, step)

    def restore_backup(self, source: str | Path) -> Backup:
        """Put a backup in the store's place, after backing up what is there; returns that backup.

        Every process notices. Only for who owns the store's file or is `admin`. Raises Denied, NotFound, ForeignStore,
        NewerStore, CorruptStore.
        """
        return keeping.restore_backup(self, source)

    def forget_for_good(self, path: str) -> Forgotten:
        """Erase what is at a path, and what was deleted there, from the store and all that derives from it.

        Text, versions, title, path, tags and links go, the journal's rows are redacted and the chain still verifies.
        What cannot be reached is named. `@id` is a deleted node by its number. Only for the owner. Raises NotFound,
        NotOwner, Denied.
        """
        text = f"{MEMORY}/{path}" if path[:1] == "@" and shortcuts.node_of(path) is None else path
        return forgetting.forget(self, self._stored(text).path)

    def scrub(self) -> bool:
        """Clean free space, WAL and derived data of what was erased; False where another reader kept it from that."""
        return forgetting.scrub(self)

    def traces(self, texts: Iterable[str]) -> builtins.list[Trace]:
        """Where texts that were forgotten still stand, byte for byte, in the store's files and known copies.

        Only for who owns the store's file or is `admin`.
        """
        keeping.require_keeper(self, "search the store's raw bytes")
        return forgetting.traces(self, texts)

    def record_export(self, location: str, sequence: int) -> None:
        """Remember where an export of up to a journal row was put, so that forgetting can name it."""
        keeping.record_export(self, location, sequence)

    def mend(self) -> dict[str, int]:
        """Make anew what the store derives from the rest of it, and its index, where they are wrong.

        Returns what was wrong, and how often. Only for who owns the store's file or is `admin`.
        """
        return keeping.mend(self)

    def copies(self) -> builtins.list[Copy]:
        """The backups and exports that were made, newest first. Only for who owns the store's file or is `admin`."""
        keeping.require_keeper(self, "list backups")
        return self.store.copies()

    def audit(
        self,
        path: str | None = None,
        *,
        agent: str | None = None,
        since: Moment | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> builtins.list[Change]:
        """Journal rows about what the agent may read now, newest first: below a path, by an agent, since a time.

        Rows below the sequence `before`, at most `limit`.
        """
        under = None if path is None else self._stored(path).path
        return keeping.audit(self, under, agent, since, before, limit)

    # --- finding ---------------------------------------------------------------------------------

    def search(
        self,
        query: str,
        limit: int = 10,
        mode: Mode = "lexical",
        *,
        tags: Sequence[str] = (),
        under: str = "/",
        author: str = "",
        since: Moment | None = None,
        until: Moment | None = None,
        as_of: Moment | None = None,
    ) -> Results:
        """Notes that match by their words, by what they mean, or by both, best first: at most `limit`.

        `as_of` looks, by words, at what there was at a moment; the rest is what they must be beside: `filter`. Raises
        MissingExtra where meaning is asked for and no model is installed, Invalid, Denied.
        """
        only = self.filter(tags, under, author, since, until)
        if as_of is not None:
            return self.at(as_of).search(query, limit, mode, only)
        return searching.search(self, query, limit, mode, only)

    def at(self, time: Moment, step: Callable[[int], None] | None = None) -> Retrospect:
        """What this agent may see of the memory as it was at a moment, to be read and searched.

        `time` is as for `as_of`. `step` is called with the number of notes looked at since it was last called, for a
        search looks at all that there was.
        """
        return Retrospect(self, as_ns(time, end=True), step)

    def retrieve(self, query: str, limit: int = 10, expand: int = 0) -> Results:
        """`search` by words and meaning; behind the hits what their links lead to, in at most `expand` steps."""
        return searching.retrieve(self, query, limit, expand)

    def embed(self, progress: Progress | None = None) -> int:
        """Embed all that waits for it, and return how many parts of notes that were (0 without a model)."""
        return searching.embed(self, progress)

    def save_vectors(self) -> None:
        """Write now the file of vectors that processes share, which is otherwise written once in a while."""
        searching.save_vectors(self)

    def rank(self, query: str, limit: int, mode: Mode = "lexical", only: Filter = EVERYTHING) -> Ranked:
        """`search` without reading what the notes say: names with their scores."""
        return searching.rank(self, query, limit, mode, only)

    def filter(
        self,
        tags: Sequence[str] = (),
        under: str = "/",
        author: str = "",
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> Filter:
        """What a hit must be: with all of `tags`, below `under`, by an author, of a time. Raises Invalid."""
        start = 0 if since is None else as_ns(since)
        path = self._parse(under).path
        if until is None:
            return Filter(path, frozenset(tags), author, start)
        return Filter(path, frozenset(tags), author, start, as_ns(until, end=True))

    def link(self, source: str, target: str, kind: str = "related", weight: float = 1.0) -> None:
        """Link two nodes. Needs to write the source and to read the target."""
        self.link_many([Link(source, kind, target, weight)])

    def link_many(self, links: Sequence[Link]) -> None:
        """Make several links in one transaction: all or none."""
        for link in links:
            finding.check_link(link.kind, link.weight)
        ends = [(self._stored(link.source).path, self._stored(link.target).path) for link in links]
        with self.transaction() as tx:
            for (start, end), link in zip(ends, links, strict=True):
                tx.link(start, end, link.kind, link.weight)

    def unlink(self, source: str, target: str, kind: str | None = None) -> int:
        """Remove links that somebody has made (of one kind, or all) and return how many."""
        finding.refuse_mention(kind)
        start, end = self._stored(source).path, self._stored(target).path
        kinds = finding.kinds_between(self, start, end) if kind is None else [kind]
        with self.transaction() as tx:
            removed = sum(tx.unlink(start, end, each) for each in kinds or SYMMETRIC_LINKS)
            for symmetric in SYMMETRIC_LINKS.intersection(SYMMETRIC_LINKS if kind is None else {kind}):
                if not removed:
                    removed += tx.unlink(end, start, symmetric)
            return removed

    def links(self, path: str) -> builtins.list[Link]:
        """A node's links to what the agent may read; `peer` and `related` show from both sides.

        Among them, as `mention`, those that follow from what it says.
        """
        self.kernel.catch_up(LINKS)
        return finding.links(self, self.require_stored(path, Operation.READ))

    def neighbours(self, found: Found) -> builtins.list[Link]:
        """All links from and to a node that the agent has found, in both directions as they were made."""
        self.kernel.catch_up(LINKS)
        return finding.neighbours(self, found)

    def latest(self, since_ns: int = 0, under: str = "/memory") -> Iterator[tuple[Found, int]]:
        """Files that the agent may read, last changed first, each with when that was (nanoseconds)."""
        return finding.latest(self, since_ns, self._parse(under).path)

    def census(self, under: str = "/memory") -> dict[str, int]:
        """How many files that the agent may read each directory at and below a path has itself, by path."""
        return finding.census(self, self._parse(under).path)

    def tag_counts(self) -> dict[str, int]:
        """How many notes that the agent may read carry each tag, most frequent first."""
        return finding.tag_counts(self)

    def stats(self) -> Stats:
        """What the agent can see of the store, in numbers."""
        return finding.stats(self)

    def access(self, path: str) -> AccessReport:
        """Who may do what with a path, and by which rule."""
        return explain(self, self._parse(path).path)

    # --- the machinery ---------------------------------------------------------------------------

    @property
    def _view(self) -> View:
        """What looking back sees: one store throughout."""
        return View(self.judge, self.principal)

    @property
    def origin(self) -> Origin:
        """What the journal says of who acts here."""
        return self._origin

    @property
    def store(self) -> Store:
        """The store to read from."""
        return self.kernel.store

    @property
    def judge(self) -> Judge:
        """The policy as it applies to this session on the present store and configuration.

        What it judges must have been read from `judge.store`: another may be in its place by the next access (the
        first process to write has made one, a backup was put back), where the same class ids mean something else.
        """
        policy, store = self.kernel.policy, self.kernel.store
        judge = self._judge
        if judge is None or judge.policy is not policy or judge.store is not store:
            judge = self._judge = Judge(policy, self.principal, store)
        return judge

    def transaction(self) -> _Judged:
        """Changes in the store that commit together, each judged by the policy."""
        store = self.kernel.writable_store()
        judge = self.judge
        return _Judged(store.transaction(self._origin, judge.check, judge.charge), judge)

    def after_fork(self) -> None:
        """In a forked child: another thread may have held the judge's lock."""
        self._judge = None

    def forget(self) -> None:
        """Drop what is cached (the configuration has changed)."""
        self._cache.clear()
        self._plain.clear()
        self._writable.clear()

    def absolute(self, text: str) -> str:
        """A path as this agent means it, in full: its `/private` is its own. Raises Invalid."""
        return self._parse(text).path

    def _parse(self, text: str) -> Ref:
        ref = parse(text, self.principal.agent, self.kernel.suffix_names)
        if not ref.path.startswith("/@"):
            return ref
        shortcut, slash, rest = ref.path[1:].partition("/")
        node = shortcuts.node_of(shortcut)
        if node is None:
            return ref
        return ref._replace(path=normalize(f"{self._path_of(node, ref.path)}{slash}{rest}"))

    def _path_of(self, node: int, shortcut: str) -> str:
        """A present path of a node that the agent may know of: the first where it has several. Raises NotFound."""
        judge = self.judge
        for found in judge.store.nodes([node]):
            if judge.allows(Operation.STAT, found):
                return found.path
        raise NotFound.at(shortcut)

    def _stored(self, text: str) -> Ref:
        """A reference to a node of the store. Raises Unsupported for providers' paths, Invalid for suffixes."""
        ref = self._parse(text)
        if ref.suffix is not None:
            raise Invalid(f"{ref} is a virtual node (names ending in ':{ref.suffix}' are reserved)")
        if self._match(ref.path) is not None:
            raise Unsupported(f"{ref.path} is served by a provider, which cannot do this")
        return ref

    def require_stored(self, text: str, operation: Operation) -> Found:
        """The name in the store, judged. Raises Unsupported for providers' paths."""
        judge = self.judge
        found = judge.store.find(self._stored(text).path)
        judge.check(operation, found)
        return found

    def _match(self, path: str) -> Matched | None:
        return self.kernel.routes.match(path)

    def is_provided(self, path: str) -> bool:
        """Whether a path is a handler's, or a directory that is there only since handlers serve what is below."""
        return self._match(path) is not None or self._is_only_synthetic(path)

    def refuse_provided(self, path: str, what: str) -> None:
        """Raise Unsupported if `what` is asked of a path that the store has nothing of."""
        if self.is_provided(path):
            raise Unsupported(f"{path} is served by a provider, and {what} is only for notes of the store")

    def _is_synthetic(self, path: str) -> bool:
        return path != "/" and self.kernel.routes.is_synthetic(path)

    def _is_only_synthetic(self, path: str) -> bool:
        """Whether a directory is there only since handlers serve what is below: the store has none of its own."""
        return self._is_synthetic(path) and self.store.find(path).stat is None

    def _remember(self, known: dict[str, str], text: str, path: str) -> None:
        """Skip parsing and routing the next time for a text that no provider may claim."""
        may_change = "@" in text  # what a shortcut stands for may be renamed
        if not may_change and not self.kernel.routes.may_serve(path):
            if len(known) >= _REMEMBERED:
                known.clear()
            known[text] = path

    def _check_file_name(self, ref: Ref) -> str:
        if ref.directory:
            raise IsADirectory(f"{ref.path.rstrip('/')}/ names a directory, not a file")
        self._refuse_space(ref)
        self._check_new_name(ref)
        return ref.path

    @staticmethod
    def _refuse_space(ref: Ref) -> None:
        """What lies directly in /memory/private is an agent's space: a directory that its first write makes."""
        if split(ref.path)[0] == PRIVATE:
            raise IsADirectory(f"{ref.path} is the private space of an agent, a directory")

    def _check_new_name(self, ref: Ref) -> None:
        """Refuse to create what could pose as something else: a suffix, a place."""
        path = ref.path
        if ":" in path and any(split_suffix(name, self.kernel.suffix_names) for name in path.split("/")):
            raise Invalid(f"{path}: a name that ends in a suffix is reserved for virtual nodes")
        first = path[1:].partition("/")[0]
        if first in RESERVED:
            raise Unsupported(f"/{first} is a place of AVM, and nothing can be made there")
        if first[:1] == "@" and shortcuts.node_of(first) is not None:
            raise Invalid(f"/{first} is a shortcut to a node, not a name that can be given")
        if self._is_only_synthetic(path):
            raise IsADirectory(f"{path} is a directory of the configured providers")
        while path != "/" and self.kernel.routes.may_serve(path):
            path = split(path)[0]
            if self._is_only_synthetic(path):
                raise ReadOnly(
                    f"{path} is a directory of the configured providers, and nothing can be made in it"
                )

    @staticmethod
    def _refuse_extras(path: str, meta: object, base_version: object) -> None:
        if meta is not None or base_version is not None:
            raise Unsupported(f"{path} is not a node of the store: it keeps no metadata and no versions")

    # --- suffixes --------------------------------------------------------------------------------

    def _suffix(self, ref: Ref, operation: Callable[[BaseSuffix], Operation | None]) -> BaseSuffix:
        """The suffix of a reference, once the policy has allowed its operation on the base."""
        assert ref.suffix is not None
        suffix = self.kernel.suffix(ref.suffix)
        asked = operation(suffix)
        if asked is None:
            raise Unsupported(f"{ref} cannot be written")
        if self._match(ref.path) is None:
            found = self.find(ref.path, Operation.STAT)
            directory = found is None or found.stat is None or found.stat.kind is Kind.DIRECTORY
            if directory and not suffix.on_directories:
                raise IsADirectory(f"{ref.path} is a directory, and ':{ref.suffix}' is for files")
            if not directory and not suffix.on_files:
                raise NotADirectory(f"{ref.path} is a file, and ':{ref.suffix}' is for directories")
            if found is not None:
                self.judge.check(asked, found)
                return suffix
        self.judge.check_provided(asked, ref.path)
        if suffix.needs_store:
            self.refuse_provided(ref.path, f"':{ref.suffix}'")
        return suffix

    def _read_suffix(self, ref: Ref, *, delivered: bool = False) -> Node:
        suffix = self._suffix(ref, lambda each: each.read_operation)
        check_query(suffix, str(ref), ref.query)
        context = SuffixContext(self, ref.path, ref.query)
        content = _guarded(ref, lambda: content_of(suffix, context))
        if not isinstance(content, (bytes, str)):
            raise PluginError(f"{ref}: ':{ref.suffix}' returned {type(content).__name__}, not bytes or str")
        data = _as_bytes(content)
        if delivered:
            _guarded(ref, lambda: suffix.delivered(context))
        return Node(str(ref), data, synthetic_stat(Kind.FILE, len(data)))

    def _write_suffix(self, ref: Ref, data: bytes) -> None:
        suffix = self._suffix(ref, lambda each: each.write_operation)
        check_query(suffix, str(ref), ref.query, writing=True)
        _guarded(ref, lambda: suffix.write(SuffixContext(self, ref.path, ref.query), data))


def children_of(store: Store, directory: str) -> Iterator[Found]:
    """Everything that the store has in a directory, unjudged."""
    after = ""
    while True:
        page = store.children(directory, after)
        yield from page.entries
        if not page.more:
            return
        after = split(page.entries[-1].path)[1]


class _Judged:
    """A transaction whose judge forgets what it decided in it if it fails."""

    __slots__ = ("_judge", "_transaction")

    def __init__(self, transaction: AbstractContextManager[Transaction], judge: Judge) -> None:
        self._transaction = transaction
        self._judge = judge

    def __enter__(self) -> Transaction:
        return self._transaction.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._transaction.__exit__(kind, error, trace)
        except BaseException:
            self._judge.forget()
            raise
        if kind is not None:
            self._judge.forget()


def _guarded(ref: Ref, action: Callable[[], Result]) -> Result:
    """Run a suffix's code; whatever else goes wrong in it becomes an error that names it."""
    try:
        return action()
    except VfsError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{ref}: ':{ref.suffix}' failed: {type(error).__name__}: {error}") from error


def _as_bytes(content: bytes | str) -> bytes:
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        try:
            return content.encode()
        except UnicodeEncodeError as error:
            raise Invalid(f"the text is not valid Unicode: {error.reason}") from None
    if isinstance(content, (bytearray, memoryview)):
        return bytes(content)
    raise Invalid(f"content is bytes or str, not {type(content).__name__}")


def _no_version(path: str, author: str, data: bytes) -> Version:
    """What writing to something without versions returns."""
    return Version(path, 0, 0, time.time_ns(), author, len(data), b"", "write")
