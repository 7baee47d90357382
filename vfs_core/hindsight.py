"""Looking back through a session: history, content and trees as they were, diff, blame, the trash.

Who may look back is decided here, from what `vfs_core.past` tells:

- The owner of a node (and an elevated session) sees all of its past.
- Another agent sees a version if it may read the node now, and if the version was still current when the node, or a
  directory above it, was last opened to more readers: whoever publishes a note publishes what it says then, and
  no earlier draft. The same holds for metadata and for names.
- What is in the trash is there for its owner and for whoever deleted it; for the latter only as it was last.
- What may not be seen is not found, as if it had never been.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vfs_core.errors import Denied, Invalid, IsADirectory, NotADirectory, NotFound, VersionGone
from vfs_core.past import NameThen, Past, Trashed
from vfs_core.path import join, split
from vfs_core.permissions import Judge
from vfs_core.storage import Operation, Store
from vfs_core.types import Entry, Kind, Node, Principal, Stat, Version

ROOT = 1
"""Node id of the root directory in every store."""
_PAGE = 500


class View(NamedTuple):
    """Who looks back, into one store: the judge's, so that nothing is read from one store and judged by another."""

    judge: Judge
    principal: Principal

    @property
    def store(self) -> Store:
        """The store that is looked at."""
        return self.judge.store

    @property
    def past(self) -> Past:
        """Its past."""
        return self.judge.store.past

    @property
    def agent(self) -> str:
        """Who looks."""
        return self.principal.agent


class BlamedLine(NamedTuple):
    """A line of a note, and the version that brought it."""

    number: int
    text: str
    version: Version


class Known(NamedTuple):
    """A node that the agent may look back at."""

    stat: Stat
    path: str
    """A present path of it that the agent may read; for a deleted node the one it had."""
    owned: bool
    """Whether all of its past may be seen."""
    floor: int
    """Else: the row from which on it may be seen."""


# --- nodes -----------------------------------------------------------------------------------------


def known_node(view: View, id: int, operation: Operation = Operation.READ) -> Known | None:
    """A node of which the agent may see some of the past; None if it may not know of it."""
    judge, past = view.judge, view.past
    for found in view.store.nodes([id]):
        if found.stat is not None and judge.allows(operation, found):
            return Known(found.stat, found.path, _owns(view, found.stat), past.widened(id, found.path))
    for each in past.trash(node=id, limit=1):
        if may_restore(view, each):
            floor = each.sequence if not _owns(view, each.stat) else 0
            return Known(each.stat, each.path, _owns(view, each.stat), floor)
    return None


def _owns(view: View, stat: Stat) -> bool:
    """Whether all of the past may be seen. A key opens what is there for its owner's agent, and no former paths."""
    if view.principal.key is not None:
        return False
    return stat.owner == view.agent or view.judge.is_elevated()


def _present(view: View, path: str) -> Known:
    """The node at a path, which must be readable. Raises NotFound, Denied, IsADirectory."""
    found = view.store.find(path)
    view.judge.check(Operation.READ, found)
    assert found.stat is not None
    if found.stat.is_directory:
        raise IsADirectory(f"{found.path} is a directory; its notes have versions of their own")
    floor = view.past.widened(found.stat.id, found.path)
    return Known(found.stat, found.path, _owns(view, found.stat), floor)


# --- versions --------------------------------------------------------------------------------------


def may_see(view: View, known: Known, version: Version) -> bool:
    """Whether the agent may see a version of a node that it knows."""
    if known.owned or version.version == known.stat.version:
        return True
    until = view.past.superseded(known.stat.id, version.version)
    return until is None or until > known.floor


def versions(view: View, known: Known, before: int | None = None, size: int = _PAGE) -> Iterator[Version]:
    """The versions of a node that the agent may see, newest first, fetched `size` at a time."""
    while True:
        page = view.store.versions(known.stat.id, before, size)
        for version in page:
            if not may_see(view, known, version):
                return  # what is older was superseded earlier
            yield version if known.owned else version._replace(path=known.path)
        if len(page) < size:
            return
        before = page[-1].version


def history(view: View, path: str, limit: int, before: int | None) -> list[Version]:
    """At most `limit` versions, newest first."""
    if limit < 1:
        raise Invalid(f"limit is at least 1, not {limit}")
    found = []
    for version in versions(view, _present(view, path), before, min(limit, _PAGE)):
        found.append(version)
        if len(found) == limit:
            break
    return found


def content(view: View, known: Known, version: Version) -> bytes:
    """The content of a version. Raises VersionGone where retention has dropped it."""
    data = view.store.version_content(known.stat.id, version.version)
    if data is None:
        raise VersionGone(f"{known.path}: the content of version {version.version} is not kept any more")
    return data


def _version(view: View, known: Known, number: int) -> Version:
    page = view.store.versions(known.stat.id, number + 1, 1)
    if not page or page[0].version != number or not may_see(view, known, page[0]):
        raise NotFound(f"{known.path} has no version {number}")
    return page[0]


def at_version(view: View, path: str, number: int) -> Node:
    """A note as one of its versions was."""
    known = _present(view, path)
    return _node(view, known, known.path, _version(view, known, number))


def _node(view: View, known: Known, path: str, version: Version, sequence: int | None = None) -> Node:
    moment = version.sequence if sequence is None else sequence
    meta = meta_then(view, known, moment)
    return Node(path, content(view, known, version), _stat(known.stat, version), meta)


def meta_then(view: View, known: Known, sequence: int) -> str:
    """The metadata text of a node at a moment; for others no earlier than they may see."""
    return view.past.meta_at(known.stat.id, sequence if known.owned else max(sequence, known.floor))


def _stat(stat: Stat, version: Version) -> Stat:
    return stat._replace(size=version.size, version=version.version, modified_ns=version.time_ns)


# --- moments ---------------------------------------------------------------------------------------


def at_time(view: View, path: str, time_ns: int) -> Node:
    """What was at a path at a time. Raises NotFound, IsADirectory."""
    sequence = view.past.sequence_at(time_ns)
    known = _resolve(view, path, sequence)
    if _had_expired(known.stat, time_ns):
        raise NotFound.at(path)
    if known.stat.is_directory:
        raise IsADirectory(f"{path} was a directory then; list it")
    version = view.past.version_at(known.stat.id, sequence)
    if version is None or not may_see(view, known, version):
        raise NotFound.at(path)
    return _node(view, known, path, version, sequence)


class Then(NamedTuple):
    """A name as it was at a moment. `version` is that of a file's content then; None for anything else."""

    path: str
    known: Known
    version: Version | None

    @property
    def stat(self) -> Stat:
        """What is known of it, with size, version and time of then."""
        return self.known.stat if self.version is None else _stat(self.known.stat, self.version)


def list_at(view: View, path: str, time_ns: int) -> Iterator[Entry]:
    """What a directory held at a time. Raises NotFound, NotADirectory."""
    sequence = view.past.sequence_at(time_ns)
    directory = _resolve(view, path, sequence)
    if not directory.stat.is_directory:
        raise NotADirectory(f"{path} was not a directory then")
    for then in _held(view, path, directory.stat.id, sequence, time_ns):
        yield Entry(split(then.path)[1], then.path, then.stat)


def files_at(view: View, path: str, time_ns: int) -> Iterator[Then]:
    """The files at and below a path at a time. Raises NotFound."""
    sequence = view.past.sequence_at(time_ns)
    top = _resolve(view, path, sequence)
    if not top.stat.is_directory:
        version = view.past.version_at(top.stat.id, sequence)
        if version is not None and may_see(view, top, version) and not _had_expired(top.stat, time_ns):
            yield Then(path, top, version)
        return
    waiting = [(path, top.stat.id)]
    while waiting:
        directory, node = waiting.pop()
        for then in _held(view, directory, node, sequence, time_ns):
            if then.stat.is_directory:
                waiting.append((then.path, then.stat.id))
            elif then.version is not None:
                yield then


def _held(view: View, path: str, directory: int, sequence: int, time_ns: int) -> Iterator[Then]:
    """The names that a directory had at a moment, as far as the agent may know."""
    after = ""
    while True:
        page = view.past.names_at(directory, sequence, after, _PAGE)
        for row in page:
            then = _then(view, join(path, row.name), row, directory, sequence)
            if row.name and then is not None and not _had_expired(then.stat, time_ns):
                yield then
        if len(page) < _PAGE:
            return
        after = page[-1].name


def _had_expired(stat: Stat, time_ns: int) -> bool:
    return stat.expires_ns is not None and stat.expires_ns <= time_ns


def _then(view: View, path: str, row: NameThen, directory: int, sequence: int) -> Then | None:
    known = _known_name(view, path, row, directory)
    if known is None:
        return None
    if known.stat.kind is not Kind.FILE:
        return Then(path, known, None)
    version = view.past.version_at(row.node, sequence)
    if version is None or not may_see(view, known, version):
        return None
    return Then(path, known, version)


def _resolve(view: View, path: str, sequence: int) -> Known:
    """The node that a path led to at a moment."""
    past = view.past
    here, at = ROOT, "/"
    known = known_node(view, ROOT, Operation.STAT)
    for name in path.split("/")[1:] if path != "/" else ():
        row = past.name_at(here, name, sequence)
        at = join(at, name)
        known = None if row is None else _known_name(view, at, row, here)
        if row is None or known is None:
            raise NotFound.at(path)
        here = row.node
    if known is None or sequence < ROOT:
        raise NotFound.at(path)
    return known


def _known_name(view: View, path: str, row: NameThen, directory: int) -> Known | None:
    """The node of a name at a moment, if the agent may know that it had this name."""
    try:
        view.judge.check_ceiling(Operation.STAT, path)
    except (NotFound, Denied):
        return None
    stat = view.past.stat(row.node)
    if stat is None:
        return None
    known = known_node(view, row.node)
    if known is None and stat.is_directory and (row.until is None or _owns(view, stat)):
        # A way through to something below, that was opened nobody knows when: by its present name only.
        known = known_node(view, row.node, Operation.STAT)
    if known is None or row.until is None or known.owned:
        return known
    above = known_node(view, directory)
    return known if above is not None and row.until > max(above.floor, known.floor) else None


# --- what changed ----------------------------------------------------------------------------------


def diff(view: View, path: str, old: int | None, new: int | None) -> str:
    """A unified diff of two versions: by default the last two. Empty if they say the same."""
    known = _present(view, path)
    end = _version(view, known, known.stat.version if new is None else new)
    if old == 0 or (old is None and end.version == 1):
        start, before = None, b""
    else:
        start = _version(view, known, end.version - 1 if old is None else old)
        before = content(view, known, start)
    return unified(
        before, content(view, known, end), f"{known.path} (version {start.version if start else 0})",
        f"{known.path} (version {end.version})",
    )  # fmt: skip


def unified(old: bytes, new: bytes, old_label: str, new_label: str, context: int = 3) -> str:
    """A unified diff of two texts; of other bytes it says only that they differ."""
    if old == new:
        return ""
    try:
        before, after = old.decode(), new.decode()
    except UnicodeDecodeError:
        return f"Binary contents differ: {old_label}, {new_label}\n"
    import difflib

    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), old_label, new_label, n=context
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def blame(view: View, path: str) -> list[BlamedLine]:
    """For each line of a note, the version that brought it, as far back as the agent may see."""
    import difflib

    known = _present(view, path)
    walk = versions(view, known)
    newest = next(walk, None)
    if newest is None:
        return []
    lines = content(view, known, newest).decode("utf-8", "replace").splitlines()
    blamed: list[Version] = [newest] * len(lines)
    open_lines = {number: number for number in range(len(lines))}  # line in `below` -> line of the result
    below, newer = lines, newest
    for older in walk:
        if not open_lines:
            break
        try:
            above = content(view, known, older).decode("utf-8", "replace").splitlines()
        except VersionGone:
            break
        still: dict[int, int] = {}
        for block in difflib.SequenceMatcher(None, above, below, autojunk=False).get_matching_blocks():
            for step in range(block.size):
                if block.b + step in open_lines:
                    still[block.a + step] = open_lines.pop(block.b + step)
        for number in open_lines.values():
            blamed[number] = newer
        open_lines, below, newer = still, above, older
    for number in open_lines.values():
        blamed[number] = newer
    return [BlamedLine(number + 1, text, blamed[number]) for number, text in enumerate(lines)]


# --- the trash -------------------------------------------------------------------------------------


def may_restore(view: View, trashed: Trashed) -> bool:
    """Whether the agent may know of something in the trash: its owner, and whoever deleted it."""
    agent = view.agent
    if agent not in (trashed.stat.owner, trashed.by) and not view.judge.is_elevated():
        return False
    try:
        view.judge.check_ceiling(Operation.READ, trashed.path)
        view.judge.require("read", "look into the trash")
    except (NotFound, Denied):
        return False
    return True


def trash(view: View, limit: int, before: int | None) -> list[Trashed]:
    """What the agent can restore, last deleted first."""
    if limit < 1:
        raise Invalid(f"limit is at least 1, not {limit}")
    found: list[Trashed] = []
    while True:
        page = view.past.trash(before, _PAGE)
        for each in page:
            if may_restore(view, each):
                found.append(each)
                if len(found) == limit:
                    return found
        if len(page) < _PAGE:
            return found
        before = page[-1].sequence


def find_trashed(view: View, path: str) -> Trashed:
    """What was deleted last at a path. Raises NotFound."""
    before: int | None = None
    while True:
        page = view.past.trash(before, _PAGE)
        for each in page:
            if each.path == path and may_restore(view, each):
                return each
        if len(page) < _PAGE:
            raise NotFound(f"nothing that was deleted at {path} can be restored")
        before = page[-1].sequence
