"""AVM's own store on the real file system: never shown, whatever directory a rule shows.

It holds what others may not read; and a process that opens and closes a file on which SQLite has locks, loses them.
"""

from __future__ import annotations

import os
import stat as bits
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from vfs_core.errors import Denied
from vfs_core.storage import side_base


@lru_cache(maxsize=16)
def own_files(location: str) -> OwnFiles:
    """Those of the store at `location`."""
    return OwnFiles(location)


class OwnFiles:
    """The files of the store at `location` (a path; or a DSN or `:memory:`, which have none).

    They are told by directory and name, as some come and go, and if they have further names by inode.
    """

    def __init__(self, location: str) -> None:
        paths = {location, os.path.realpath(location)} if location.startswith("/") else set()
        self._stores = [
            (
                Path(path).parent,
                (f"{side_base(path).rpartition('/')[2]}.".casefold(), Path(path).name.casefold()),
            )
            for path in paths
        ]

    def refuse(self, path: str, directory: int, name: str) -> None:
        """Raises Denied if `name` in the open `directory` is, or would be, a file of the store or a place above it."""
        if self._stores and (
            name.casefold().startswith(self.beginnings(directory)) or self._is(directory, name)
        ):
            raise Denied(f"{path} belongs to AVM's own store, which is not shown as files")

    def beginnings(self, directory: int) -> tuple[str, ...]:
        """How the names (folded) of the store's files in this directory begin."""
        found: tuple[str, ...] = ()
        for parent, names in self._stores:
            with suppress(OSError):
                if os.path.samestat(os.fstat(directory), parent.stat()):
                    found += names
        return found

    def _is(self, directory: int, name: str) -> bool:
        """Whether it is a directory above the store, or another name of one of its files."""
        with suppress(OSError):
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if bits.S_ISDIR(found.st_mode):
                return any(
                    os.path.samestat(found, above.stat())
                    for parent, _ in self._stores
                    for above in (parent, *parent.parents)
                )
            if bits.S_ISREG(found.st_mode) and found.st_nlink > 1:
                return any(
                    os.path.samestat(found, file.lstat())
                    for parent, names in self._stores
                    for file in parent.iterdir()
                    if file.name.casefold().startswith(names)
                )
        return False
