"""A power failure, simulated: what a process writes is recorded, and every disk that it could leave is made of it.

`Recorder` is an SQLite VFS over the real one. It logs writes, truncations, syncs and deletions of all files, in
order, with marks of the test's own between them. `failures` makes of the log what may be on the disk after a
failure at some point: everything that was synced, and of the rest each 512-byte sector or not, in any order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import apsw

SECTOR = 512
"""Bytes that a disk writes wholly or not at all."""


class Write(NamedTuple):
    """Bytes written to a file, not yet synced."""

    file: str
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """A file cut to a size, not yet synced."""

    file: str
    size: int


class Sync(NamedTuple):
    """Everything written to a file before is on the disk now."""

    file: str


class Delete(NamedTuple):
    """A file removed. Taken to be on the disk at once: an AVM store deletes nothing that it needs."""

    file: str


class Mark(NamedTuple):
    """The test says how far it is: an acknowledged write, for instance."""

    value: int


Entry = Write | Truncate | Sync | Delete | Mark


class Recorder(apsw.VFS):
    """The default VFS while it is in use, as a context manager; `log` is what it saw."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.base = apsw.vfs_names()[0]
        super().__init__(f"recorder-{id(self):x}", base=self.base, makedefault=True)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        apsw.set_default_vfs(self.base)
        self.unregister()

    def mark(self, value: int) -> None:
        """Put a mark into the log."""
        self.log.append(Mark(value))

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.log.append(Delete(Path(filename).name))


class _File(apsw.VFSFile):
    """A file that logs what is done to it once the real one has done it."""

    def __init__(self, vfs: Recorder, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(vfs.base, name, flags)  # type: ignore[arg-type]  # the stub forgets temporary files, without a name
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path).name if path else ""
        self._log = vfs.log

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        if self._name:
            self._log.append(Write(self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        if self._name:
            self._log.append(Truncate(self._name, newsize))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        if self._name:
            self._log.append(Sync(self._name))


@dataclass
class _Disk:
    """One file: what surely is on the disk, and what was asked for since its last sync."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.synced, change)
        self.pending.clear()

    def after_failure(self, generator: random.Random) -> bytes:
        """One of the contents that the file may have. How much of the unsynced gets lost is itself random."""
        content = bytearray(self.synced)
        share = generator.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        parts: list[Write | Truncate] = []
        for change in self.pending:
            if isinstance(change, Truncate):
                parts.append(change)
            elif generator.random() < 0.5:
                parts += _sectors(change)
            else:
                parts.append(change)
        if generator.random() < 0.5:
            generator.shuffle(parts)
        for part in parts:
            if generator.random() < share:
                _apply(content, part)
        return bytes(content)


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    end = change.offset + len(change.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[change.offset : end] = change.data


def _sectors(change: Write) -> Iterator[Write]:
    """A write in parts that do not cross the border of a sector."""
    start, end = change.offset, change.offset + len(change.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield Write(change.file, start, change.data[start - change.offset : stop - change.offset])
        start = stop


class Failure(NamedTuple):
    """What is there after a power failure: files by name, and the last mark before it."""

    point: int
    mark: int
    files: dict[str, bytes]


def failures(
    log: Sequence[Entry],
    count: int,
    generator: random.Random,
    *,
    early: bool = False,
    ignore_syncs: bool = False,
) -> Iterator[Failure]:
    """So many power failures at random points of the log, after its first mark (`early`: before it), in order.

    With `ignore_syncs` the disk lies: it says that it has synced and has not.
    """
    first = next(index for index, entry in enumerate(log) if isinstance(entry, Mark))
    low, high = (0, first) if early else (first + 1, len(log))
    points = sorted(generator.randint(low, high) for _ in range(count))
    files: dict[str, _Disk] = {}
    mark, done = 0, 0
    for point in points:
        for entry in log[done:point]:
            if isinstance(entry, Mark):
                mark = entry.value
            elif isinstance(entry, Delete):
                files.pop(entry.file, None)
            elif isinstance(entry, Sync):
                if not ignore_syncs or done < first:
                    files.setdefault(entry.file, _Disk()).sync()
            else:
                files.setdefault(entry.file, _Disk()).pending.append(entry)
        done = point
        left = {name: disk.after_failure(generator) for name, disk in files.items()}
        yield Failure(point, mark, left)
