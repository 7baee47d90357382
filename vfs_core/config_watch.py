"""Live configuration: a kernel that lives for a while reads its file again when it has changed."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from vfs_core.errors import VfsError

if TYPE_CHECKING:
    from vfs_core.kernel import Kernel

INTERVAL = 1.0
"""Seconds between two looks at the file."""

State: TypeAlias = "tuple[int, int, int] | None"


def state_of(path: Path) -> State:
    """What changes when a file is written or replaced; None if it cannot be looked at."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


class ConfigWatch:
    """Has a kernel reload its configuration when the file changes. What is wrong with it is told once, in the log."""

    def __init__(self, kernel: Kernel, path: Path, seen: State) -> None:
        """`seen` is the state of the file when it was read."""
        self._kernel = weakref.ref(kernel)
        self._path = path
        self._seen = seen
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="avm-config", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(INTERVAL):
            state = state_of(self._path)
            if state is None or state == self._seen:
                continue  # a file that is being replaced is not there for a moment
            kernel = self._kernel()
            if kernel is None:
                return
            self._seen = state
            _reload(kernel, self._path)
            del kernel


def _reload(kernel: Kernel, path: Path) -> None:
    import logging

    try:
        kernel.reload()
    except VfsError as error:
        logging.getLogger("avm").warning("%s is not taken over, what it said before holds: %s", path, error)
    else:
        logging.getLogger("avm").info("%s has changed and is in force", path)
