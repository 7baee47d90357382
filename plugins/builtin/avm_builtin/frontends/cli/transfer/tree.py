"""A directory that files are written into, and nowhere else.

Every step is taken relative to an open directory and follows no symbolic link, so neither one that was there
nor one that appears meanwhile can lead out of it. A file that is there and differs is never touched unless forced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat as stat_bits
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Put(Enum):
    """What became of a file."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    DIFFERS = "differs"


class Tree:
    """Writes below `root`, which is made (for its owner only) if it is not there."""

    def __init__(self, root: Path, *, force: bool) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._force = force
        self._open: list[tuple[str, int]] = [("", os.open(root, _DIRECTORY))]

    def close(self) -> None:
        """Let go of the directories."""
        while self._open:
            os.close(self._open.pop()[1])

    def directory(self, parts: Sequence[str], mode: int) -> int:
        """The open directory at `parts`, made with `mode` where it is missing. Raises OSError."""
        depth = 0
        for (name, _), part in zip(self._open[1:], parts, strict=False):
            if name != part:
                break
            depth += 1
        while len(self._open) > depth + 1:
            os.close(self._open.pop()[1])
        for part in parts[depth:]:
            above = self._open[-1][1]
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, mode | 0o700, dir_fd=above)
            try:
                below = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise NotADirectoryError(
                        errno.ENOTDIR, f"a file or a symbolic link, {part}, is in the way"
                    ) from None
                raise
            self._open.append((part, below))
        return self._open[-1][1]

    def put(self, parts: Sequence[str], data: bytes, mode: int) -> Put:
        """Write a file into directories that are there. Raises OSError."""
        directory, name = self.directory(parts[:-1], 0o700), parts[-1]
        try:
            self._make(directory, name, data, mode)
        except FileExistsError:
            if self._holds(directory, name, data):
                return Put.UNCHANGED
            if not self._force:
                return Put.DIFFERS
            self._replace(directory, name, data, mode)
        return Put.WRITTEN

    @staticmethod
    def _make(directory: int, name: str, data: bytes, mode: int) -> None:
        fd = os.open(name, _MAKE, mode, dir_fd=directory)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
        except BaseException:
            os.unlink(name, dir_fd=directory)
            raise

    @staticmethod
    def _holds(directory: int, name: str, data: bytes) -> bool:
        try:
            fd = os.open(name, _READ, dir_fd=directory)
        except OSError:
            return False  # a symbolic link, a socket, not ours to read: it differs
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(file.fileno())
            return stat_bits.S_ISREG(found.st_mode) and found.st_size == len(data) and file.read() == data

    def _replace(self, directory: int, name: str, data: bytes, mode: int) -> None:
        temporary = f".avm-{secrets.token_hex(8)}"
        self._make(directory, temporary, data, mode)
        try:
            os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.unlink(temporary, dir_fd=directory)
            raise
