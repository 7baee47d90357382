"""Changing what is at a place of a jail: a whole file in one step, and moving without overwriting.

What this module is not: it decides nothing about where a place is or whether it may be changed.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from contextlib import suppress

from avm_handlers.jail import Place
from vfs_core.errors import Exists

TEMPORARY = re.compile(r"\.avm-[0-9a-f]{16}\.tmp", re.IGNORECASE)
"""What a file is called while it is written."""


def replace(place: Place, data: bytes, old: os.stat_result | None) -> None:
    """Put a file with this content in place of what is there, of the same owner and mode, durably."""
    temporary = f".avm-{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    # A new file gets the mode that the umask leaves; a private one is private from its first byte on.
    file = os.open(temporary, flags, 0o666 if old is None else 0o600, dir_fd=place.directory)
    try:
        try:
            if old is not None:
                made = os.fstat(file)
                if (made.st_uid, made.st_gid) != (old.st_uid, old.st_gid):
                    with suppress(PermissionError):
                        os.fchown(file, old.st_uid, old.st_gid)
                os.fchmod(file, old.st_mode & 0o777)
            write_all(file, data)
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(temporary, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=place.directory)
        raise
    _sync_directory(place.directory)


def move(new: str, source: Place, target: Place, *, is_directory: bool) -> None:
    """Move without overwriting: a file by a second name, so that nobody comes in between."""
    with suppress(FileNotFoundError):
        target.stat()
        raise Exists(f"{new} exists already")
    if not is_directory:
        try:
            os.link(
                source.name,
                target.name,
                src_dir_fd=source.directory,
                dst_dir_fd=target.directory,
                follow_symlinks=False,
            )
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS):
                raise
        else:
            os.unlink(source.name, dir_fd=source.directory)
            return _sync_directory(target.directory)
    # Directories have no second names, and some file systems have none at all. Over a directory that was put
    # there this instant this goes only if that is empty.
    os.rename(source.name, target.name, src_dir_fd=source.directory, dst_dir_fd=target.directory)
    return _sync_directory(target.directory)


def write_all(file: int, data: bytes) -> None:
    """Write all of it, however much the system takes at once."""
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _sync_directory(directory: int) -> None:
    """Make names durable, where the directory may be opened for that."""
    with suppress(PermissionError):
        opened = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
