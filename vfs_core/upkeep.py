"""The followers of one store, as one process uses them: each made when it is first asked for, with its runner."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from vfs_core.follower import Follower, Lease, Runner
from vfs_core.search import SideContext
from vfs_core.storage import Store, side_base
from vfs_core.types import JSON

Made = TypeVar("Made", bound=Follower)


class Upkeep:
    """Runners by what they are asked for. Not thread-safe: the kernel holds its lock."""

    def __init__(self, store: Store, *, in_memory: bool) -> None:
        self.store = store
        self._base = None if in_memory else side_base(store.location)
        self._mode = 0o600 if in_memory else os.stat(store.location).st_mode & 0o666
        self._runners: dict[str, Runner[Any]] = {}

    def side(self, config: Mapping[str, JSON]) -> SideContext:
        """Where a follower keeps its files."""
        return SideContext(self._base, self.store.uuid, self.store.writable, self._mode, config)

    def runner(self, key: str, make: Callable[[], Made]) -> Runner[Made]:
        """The runner of a follower, which `make` makes if there is none yet."""
        known = self._runners.get(key)
        if known is None:
            follower = make()
            known = self._runners[key] = Runner(self.store, follower, self._lease(follower.name))
        return known

    def _lease(self, name: str) -> Lease | None:
        if not self.store.writable:
            return None
        try:
            return Lease(None if self._base is None else f"{self._base}.{name}.lease", self._mode)
        except OSError:
            return None  # others keep the index; this process reads what is there, and says how far behind

    def close(self) -> None:
        """Release followers and leases."""
        for runner in self._runners.values():
            runner.close()
        self._runners = {}
