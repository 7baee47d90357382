"""The storage contract: plain methods over nodes, names, classes and one journal; no SQL in it.

A store keeps what agents write and decides nothing: who may do what is asked of the `check` that it
is given, *inside* the transaction and before anything changes. Two engines implement this behind
one conformance suite (`vfs_core.testing.StoreTests`), each with its own statements.

What every store promises:

- A change is one transaction that appends to the journal, one row per change, in total order.
  A cursor over the journal never skips a row that commits later.
- A node's id is stable for its life and never reused. Rename keeps it, and so links, tags, shares.
- A transaction that raises leaves everything as it was.
- The bell announces before a commit can be seen (`vfs_core.bell`). Whatever changes who may do what for more than
  the nodes named (users, groups, shares, new visibility classes, directories) moves its epoch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from vfs_core.bell import Bell
from vfs_core.errors import Unsupported
from vfs_core.past import Past, Purged, Retention, Trashed
from vfs_core.types import JSON, Access, Change, Kind, Origin, Stat, User, Version
from vfs_core.visibility import DirectoryClass, NodeClass


class Operation(str, Enum):
    """What is asked of the policy. The value is the word that rules, keys and messages use."""

    STAT = "stat"
    READ = "read"
    LIST = "list"
    SEARCH = "search"
    EXPORT = "export"
    WRITE = "write"
    CREATE = "create"
    DELETE = "delete"
    LINK = "link"
    SHARE = "share"
    MODE = "mode"

    __hash__ = str.__hash__  # that of the value, as equality is, and without a call into Python

    def __str__(self) -> str:
        return self.value


class Found(NamedTuple):
    """One name as the store resolved it, with all that the policy needs to judge it.

    For a name that is absent `stat` is None. A `check` is given the nearest directory that exists in
    `within`, `parent` and `directory`, the one in which the name would be made; reads tell of the directory
    that the name would be in, zeros if there is none.
    """

    path: str
    stat: Stat | None
    within: int
    """Id of the DirectoryClass of the directory that the name is in (0: no such directory)."""
    own: int
    """Id of the node's own NodeClass (0 if absent)."""
    parent: int
    """Id of the directory that the name is in (0: no such directory)."""
    sequence: int
    """The journal's last sequence at the moment of reading."""
    directory: int = 0
    """Id of the NodeClass of that directory; filled for CREATE and DELETE only."""
    meta_json: str = "{}"
    data: bytes = b""


Check = Callable[[Operation, Found], None]
"""Raises NotFound or Denied where the operation on the found name is not allowed."""


def allow_all(operation: Operation, found: Found) -> None:
    """The check of what the system does itself (followers, doctor, tests of a store)."""


Charge = Callable[[str, int, int], None]
"""Called in the transaction with (path, bytes, notes) before a write adds that much; raises QuotaExceeded."""


def charge_nobody(path: str, size: int, notes: int) -> None:
    """The charge of what the system does itself, and of who has no quota."""


def approve_all(found: Found) -> None:
    """What `Store.read` asks where nobody need be asked."""


class Listing(NamedTuple):
    """A page of a directory: the directory itself, its entries in order of name, and whether more follow."""

    directory: Found
    contents: int
    """Id of the DirectoryClass of what is in the directory."""
    entries: Sequence[Found]
    more: bool


class LinkRow(NamedTuple):
    """A link as stored, between node ids."""

    source: int
    kind: str
    target: int
    weight: float


class Head(NamedTuple):
    """A position in the journal: its last sequence and the chain hash there."""

    sequence: int
    chain: bytes


class Copy(NamedTuple):
    """A backup or export that was made, and the journal's head then. It may have been moved or deleted since."""

    kind: str
    location: str
    time_ns: int
    sequence: int


class Usage(NamedTuple):
    """How many files, and bytes, lie in each pair of classes. A file counts once, however many names it has."""

    within: int
    own: int
    files: int
    size: int
    elsewhere: tuple[int, ...] = ()
    """The other directory classes in which the same files have names: who sees any of them sees the files."""

    def places(self) -> tuple[int, ...]:
        """All directory classes in which these files have names."""
        return (self.within, *self.elsewhere)


class Census(NamedTuple):
    """How many names of files a directory has of one node class."""

    directory: str
    within: int
    own: int
    files: int


class TagUsage(NamedTuple):
    """How many nodes in a pair of classes carry a tag. A node counts once, however many names it has."""

    tag: str
    within: int
    own: int
    nodes: int
    elsewhere: tuple[int, ...] = ()

    def places(self) -> tuple[int, ...]:
        """All directory classes in which these nodes have names."""
        return (self.within, *self.elsewhere)


@dataclass(frozen=True)
class Finding:
    """One line of a check: a subject, whether it is well, what was seen and what mends it."""

    subject: str
    level: str
    """`ok`, `warn` or `fail`."""
    message: str
    cure: str = ""


@dataclass(frozen=True)
class Moved:
    """What a rename did: the number of nodes moved by name (a directory counts once)."""

    nodes: int
    sequence: int
    paths: Sequence[tuple[str, str]] = field(default=())


@dataclass(frozen=True)
class StoreContext:
    """What an engine is opened with.

    `location` is a path or a DSN, `founder` owns the fixed directories of a store that is made now,
    `durability` is `full` (a commit survives a power failure) or `normal` (it survives the process; a power
    failure may take the last few). With `create` false a store that is not there raises NotFound.
    """

    location: str
    founder: Origin
    durability: str = "full"
    create: bool = True


class Snapshot(NamedTuple):
    """What a writer that commits again and again has seen, so that only what was there before it is kept.

    `since` is the journal row of the version that was current when it began (0: it made the file), `version` the
    version that it committed last.
    """

    since: int
    version: int

    def after(self, made: Version) -> Snapshot:
        """What the writer has seen once it has committed `made` by this snapshot.

        Where somebody else wrote in between, it begins anew: theirs is kept, and what it made over it.
        """
        return Snapshot(self.since if made.version == self.version + 1 else made.sequence, made.version)


class Transaction(ABC):
    """Changes that commit together. Made by `Store.transaction`; paths are normal paths.

    Every method asks `check` first, resolved in this transaction, and raises what it raises. A method that
    raises leaves no part of its change, even if the caller catches the error and goes on. All may raise NotFound,
    NotADirectory, ReadOnly, NoSpace, StoreBusy.

    Where a name is taken that would be made (by `write`, `append`, `mkdir`, `rename`), and the check says NotFound,
    CREATE is asked as well, as if the name were absent: so a refusal reads the same either way.

    While `undoing` is set to the sequence of a journal row, what is done is journalled as undoing it; while
    `attributed` is set, with what is said of its origin; while `part_of` is set, as part of that run.

    A class id that a check meets may have been made by this transaction: if it is rolled back, the id may come
    to mean another class, so nothing decided inside may be remembered then.
    """

    undoing: int | None = None
    attributed: Mapping[str, JSON] | None = None
    part_of: str | None = None

    @abstractmethod
    def find(self, path: str) -> Found:
        """Resolve a name as this transaction sees it, without content and without asking `check`."""

    @abstractmethod
    def names(self, node: int) -> list[str]:
        """The paths of a node as this transaction sees it, sorted; none if it is deleted."""

    @abstractmethod
    def write(
        self,
        path: str,
        data: bytes,
        *,
        patch: Mapping[str, JSON] | None = None,
        base_version: int | None = None,
        parents: bool = True,
    ) -> Version:
        """Replace (or create) a file's content.

        What is made belongs to the agent, in a private space to the agent of the space. It is open to all in
        shared places (0666, 0777), to its owner in private ones (0600, 0700).

        `patch` merges into the metadata, null removes a key, None keeps all. `base_version` is the
        version that the content was based on (0: must not exist); another raises Conflict. Missing
        parents are made if `parents`. Raises IsADirectory.
        """

    @abstractmethod
    def append(self, path: str, data: bytes) -> Version:
        """Add to the end of a file, creating it if absent. Concurrent appends never lose each other."""

    @abstractmethod
    def write_range(
        self, path: str, offset: int, data: bytes, *, snapshot: Snapshot | None = None
    ) -> Version:
        """Put bytes at an offset of a file that is there; what lies before it and was not there reads as zeros.

        With a snapshot, versions that its writer committed and nobody else has written since are not kept. Raises
        IsADirectory, Invalid.
        """

    @abstractmethod
    def truncate(self, path: str, size: int, *, snapshot: Snapshot | None = None) -> Version:
        """Cut a file to a size, or let it grow by a hole, which takes no space."""

    @abstractmethod
    def write_blocks(
        self,
        path: str,
        blocks: Iterable[bytes],
        *,
        patch: Mapping[str, JSON] | None = None,
        base_version: int | None = None,
        parents: bool = True,
    ) -> Version:
        """`write` of a content that comes block by block, none of which is held for long."""

    @abstractmethod
    def update_meta(self, path: str, patch: Mapping[str, JSON]) -> dict[str, JSON]:
        """Merge into the metadata (null removes a key) and return it. `tags` is the tag table."""

    @abstractmethod
    def mkdir(self, path: str, *, parents: bool = False, exist_ok: bool = False) -> Stat:
        """Make a directory. Raises Exists."""

    @abstractmethod
    def make_special(self, path: str, kind: Kind, *, target: str = "", device: int = 0) -> Stat:
        """Make a symlink (to `target`, any text), a fifo, a socket, or a device node. Asks CREATE. Raises Exists."""

    @abstractmethod
    def hard_link(self, source: str, new: str) -> Stat:
        """Give a node that is no directory one more name.

        Asks WRITE on the source, CREATE at the new name, and SHARE on the node where more would read it there. Raises
        Exists, IsADirectory.
        """

    @abstractmethod
    def delete(self, path: str, *, recursive: bool = False) -> int:
        """Remove a name (with `recursive` all below it) and return how many. Raises NotEmpty, InUse.

        The node keeps its content, links, tags and shares for `restore` until retention purges it.
        """

    @abstractmethod
    def restore(self, node: int, to: str | None = None) -> Moved:
        """Give a deleted node its last name again (or `to`), and all that was deleted with it.

        Id, versions, links, tags and shares are as they were; deleted directories above come back, missing ones
        are made. Asks CREATE at the path, and SHARE on the node where more would read it than when it was
        deleted. Raises NotFound where there is no such deleted node, Exists. Who may see the trash is for the
        caller to judge, by `trashed`.
        """

    @abstractmethod
    def trashed(self, node: int) -> Trashed | None:
        """A deleted node as this transaction sees it."""

    @abstractmethod
    def set_expiry(self, path: str, expires_ns: int | None) -> None:
        """Let a file expire at a time (None: never). From then on it is as if it were deleted.

        Asks WRITE, and DELETE unless it takes an expiry back.
        """

    @abstractmethod
    def forget(self, node: int, approve: Callable[[Trashed], None]) -> int:
        """Erase a deleted node for good, with all that was deleted with it, and redact their journal rows.

        Returns how many rows. Asks no check but `approve`, for each node, before anything is erased. The chain still
        verifies. `Store.scrub` then removes what is left in the file's free space.
        """

    @abstractmethod
    def rename(self, old: str, new: str, *, replace: bool = False) -> Moved:
        """Move a node or a directory with all below it. Raises Exists unless `replace`, InUse, Invalid.

        What `replace` removes gets a DELETE row before the RENAME row. A move that may widen who reads asks
        SHARE on the node, and on others' nodes below it.
        """

    @abstractmethod
    def rename_prefix(self, old: str, new: str) -> Moved:
        """Move every name in a directory that starts with the last component of `old`, all or none.

        One journal row for each; a directory among them moves whole, as by `rename`.
        """

    @abstractmethod
    def set_mode(self, path: str, mode: int) -> Stat:
        """Set the permission bits (0 to 0o7777)."""

    @abstractmethod
    def set_owner(self, path: str, owner: str | None = None, group: str | None = None) -> Stat:
        """Set owner and group; None keeps."""

    @abstractmethod
    def set_posix_owner(self, path: str, uid: int | None = None, gid: int | None = None) -> Stat:
        """Set the numbers that POSIX shows for owner and group; None keeps. Asks MODE."""

    @abstractmethod
    def set_times(self, path: str, accessed_ns: int | None = None, modified_ns: int | None = None) -> Stat:
        """Set the times of access and of modification; None keeps. Asks WRITE."""

    @abstractmethod
    def set_attribute(
        self, path: str, name: str, value: bytes, *, create: bool = False, replace: bool = False
    ) -> None:
        """Set an extended attribute: at most 255 bytes of name and 64 KiB of value. Asks WRITE.

        Raises Exists with `create` where it is there, NoAttribute with `replace` where it is not.
        """

    @abstractmethod
    def remove_attribute(self, path: str, name: str) -> None:
        """Remove an extended attribute. Asks WRITE. Raises NoAttribute."""

    @abstractmethod
    def share(self, path: str, agent: str, access: Access | None) -> None:
        """Grant an agent `r` or `rw` on a node (on a directory: on all in it), or None to take it back."""

    @abstractmethod
    def link(self, source: str, target: str, kind: str, weight: float = 1.0) -> None:
        """Link two nodes; linking them again with the same kind sets the weight."""

    @abstractmethod
    def unlink(self, source: str, target: str, kind: str | None = None) -> int:
        """Remove the links between two nodes (of one kind, or all) and return how many."""

    @abstractmethod
    def put_user(self, user: User) -> None:
        """Store an agent, its groups and capabilities. Asks no check: the session judges it."""

    def record_copy(self, kind: str, location: str, sequence: int) -> None:
        """Remember that a `backup` or an `export` was made, up to a journal row."""
        self.note(kind, {"location": location, "sequence": sequence})

    @abstractmethod
    def note(self, operation: str, details: Mapping[str, JSON]) -> int:
        """Append a journal row that changes no node (`sudo`, for instance) and return its sequence."""


class Store(ABC):
    """A place that keeps nodes. Safe to use from several threads, and again after a fork."""

    bell: Bell
    """Tells what has changed since something was read."""

    past: Past
    """Looks back."""

    uuid: str
    """Names this store; a restored backup gets another."""

    location: str
    """What a person calls it: a path or a DSN."""

    writable: bool
    """Whether this process can change it."""

    read_only_reason: str = ""
    """Where `writable` is false: which directory or file must be writable."""

    # --- reading ---------------------------------------------------------------------------------

    @abstractmethod
    def find(self, path: str) -> Found:
        """Resolve a name, without content. Absent names cost the same statement as present ones."""

    @abstractmethod
    def read(self, path: str, approve: Callable[[Found], None] = approve_all) -> Found:
        """Resolve a name, with content where it is a file, and with the target where it is a symlink.

        `approve` is called with what was found (also with nothing) before anything more is fetched for it, and
        raises to refuse: what is refused costs the same statements as what is missing.
        """

    @abstractmethod
    def read_range(
        self, path: str, offset: int, size: int, approve: Callable[[Found], None] = approve_all
    ) -> Found:
        """`read` with only `size` bytes of the content from `offset` on; fewer at the end."""

    @abstractmethod
    def attributes(self, node: int) -> dict[str, bytes]:
        """The extended attributes of a node."""

    @abstractmethod
    def children(self, path: str, after: str = "", limit: int = 1000) -> Listing:
        """A page of the directory at `path`, names greater than `after`, in binary order of UTF-8.

        Raises NotADirectory. An absent directory gives a Listing whose `directory.stat` is None.
        """

    @abstractmethod
    def nodes(self, ids: Sequence[int], *, content: bool = False) -> list[Found]:
        """Every name of the given nodes (several for hard links); deleted nodes have none."""

    @abstractmethod
    def scan(self, after: int = 0, limit: int = 1000, *, content: bool = False) -> list[Found]:
        """Names of the nodes with ids above `after`, in order of id, for `limit` nodes."""

    @abstractmethod
    def version_content(self, node: int, version: int) -> bytes | None:
        """The content of an old (or the present) version of a node, or None if it is not kept."""

    @abstractmethod
    def versions(self, node: int, before: int | None = None, limit: int = 100) -> list[Version]:
        """A node's versions below `before`, newest first."""

    @abstractmethod
    def links(self, node: int) -> list[LinkRow]:
        """The links from and to a node."""

    @abstractmethod
    def usage(self) -> list[Usage]:
        """Files and bytes by pair of classes."""

    @abstractmethod
    def census(self, path: str) -> list[Census]:
        """Names of files by directory, at and below a path, and node class; in order of the directories."""

    @abstractmethod
    def tag_usage(self) -> list[TagUsage]:
        """Nodes by tag and pair of classes."""

    # --- who -------------------------------------------------------------------------------------

    @abstractmethod
    def users(self) -> dict[str, User]:
        """The agents that are stored, by name."""

    @abstractmethod
    def shared_with(self, agent: str) -> list[str]:
        """Paths of the nodes on which an agent holds a share of its own."""

    @abstractmethod
    def directory_class(self, id: int) -> DirectoryClass:
        """The directory class of an id; also of one that the running transaction has made."""

    @abstractmethod
    def node_class(self, id: int) -> NodeClass:
        """The node class of an id; also of one that the running transaction has made."""

    @abstractmethod
    def classes(self, after: int = 0) -> list[tuple[int, DirectoryClass | NodeClass]]:
        """The committed classes with ids above `after`, in order."""

    # --- the journal -----------------------------------------------------------------------------

    @abstractmethod
    def head(self) -> Head:
        """The journal's end."""

    @abstractmethod
    def chain_at(self, sequence: int) -> bytes | None:
        """The chain hash at a sequence, or None if there is no such row."""

    @abstractmethod
    def changes(self, after: int = 0, limit: int = 1000) -> list[Change]:
        """Journal rows above `after`, in order."""

    # --- how far somebody has read -----------------------------------------------------------------

    def mark(self, reader: str, node: int) -> int:
        """The version up to which a reader (an agent, or one of its sessions) has read a node; 0 if none is kept."""
        raise Unsupported(f"{self.location} keeps no marks")

    def set_mark(self, reader: str, node: int, version: int, *, forward: bool = False) -> None:
        """Keep such a version, durably; 0 drops it. With `forward` a later one that is there stays.

        It is no change of the memory: it has no journal row and rings no bell. Raises ReadOnly.
        """
        raise Unsupported(f"{self.location} keeps no marks")

    # --- changing --------------------------------------------------------------------------------

    @abstractmethod
    def transaction(
        self, origin: Origin, check: Check, charge: Charge = charge_nobody
    ) -> AbstractContextManager[Transaction]:
        """Changes that commit together when the block ends, and not at all if it raises.

        `charge` is asked before each write of content, with how much it adds (less than 0: frees).
        Raises ReadOnly at once where the store cannot be written, naming the directory that must be.
        """

    # --- care ------------------------------------------------------------------------------------

    def backup(self, target: Path, step: Callable[[int, int], None] | None = None) -> Head:
        """Write a whole copy of one moment to a new file, while others write; returns its head.

        `step` is called with (done, total) now and then and may raise to end it. Raises Exists, NoSpace, Unsupported.
        """
        raise Unsupported(f"{self.location} has no backup of its own")

    def restore_backup(self, source: Path, origin: Origin, keep: Path) -> Head:
        """Put a backup in this store's place, in one step that every process notices.

        What is there until then is backed up to `keep`, all of it; returns the head of that. On failure nothing has
        changed, and `keep` is not there. Raises Exists, NoSpace, NotFound, ForeignStore, NewerStore, CorruptStore,
        Unsupported.
        """
        raise Unsupported(f"{self.location} cannot be restored from a backup")

    def scrub(self) -> bool:
        """Remove what was erased from free space too; False where another process's reader kept it from that."""
        return True

    def files(self) -> list[str]:
        """The store's files, side files and known copies apart."""
        return []

    def vocabulary(self) -> str:
        """What the files say whatever notes there are: the words of the schema and the journal, agents and groups."""
        return ""

    def copies(self) -> list[Copy]:
        """The backups and exports that were made, newest first."""
        return []

    @abstractmethod
    def purge(self, origin: Origin, retention: Retention, limit: int = 1000, after: int = 0) -> Purged:
        """Drop what need not be kept of up to `limit` nodes: old contents, deleted nodes; delete what has expired.

        The present content of a node that is not deleted is never touched, and no journal row. Short, so that
        writers hardly wait: call it again with the `after` that it returns, until that is None.
        """

    def mend(self, origin: Origin) -> dict[str, int]:
        """Make anew what is derived from the rest, where it is wrong; what was, and how often. Journalled."""
        return {}

    @abstractmethod
    def verify(self) -> Iterable[Finding]:
        """Check what is stored against itself: engine, journal chain, classes, names, contents."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; using the store afterwards raises StoreError."""


def side_base(location: str) -> str:
    """The path that side files of a store begin with."""
    path = Path(location)
    return str(path.with_suffix("")) if path.suffix in (".db", ".sqlite") else location
