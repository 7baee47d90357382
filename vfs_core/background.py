"""Embedding beside everything else: one thread of a kernel that lives for a while."""

from __future__ import annotations

import atexit
import threading
import weakref
from typing import TYPE_CHECKING

from vfs_core.errors import VfsError

if TYPE_CHECKING:
    from vfs_core.kernel import Kernel

_ROUND = 5.0
"""Seconds of embedding between two looks at whether to stop."""
_PAUSE = 0.2
"""Seconds between two looks at whether there is something to embed."""


class Background:
    """Embeds what waits as long as its kernel lives."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = weakref.ref(kernel)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="avm-embedding", daemon=True)
        # The interpreter must not end while a native library computes for a thread.
        atexit.register(self.stop)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, for whatever reason."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End it, after the batch that is in work."""
        self._over.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        atexit.unregister(self.stop)

    def _run(self) -> None:
        seen = -1
        while not self._over.is_set():
            kernel = self._kernel()
            if kernel is None:
                return
            try:
                seen = self._round(kernel, seen)
            except (VfsError, _Stopped):
                return  # whoever searches next is told, and begins anew
            del kernel
            self._over.wait(_PAUSE)

    def _round(self, kernel: Kernel, seen: int) -> int:
        """Embed for a while; returns up to which change of the store all is done."""
        head = kernel.store.bell.head
        runner = kernel.semantic() if head != seen else None
        if runner is None:
            return head
        left = runner.catch_up() or runner.follower.embed(runner, _ROUND, self._go_on)
        return seen if left else head

    def _go_on(self, done: int, total: int) -> None:
        if self._over.is_set():
            raise _Stopped


class _Stopped(Exception):
    """Ends a round."""
