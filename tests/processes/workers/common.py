"""What the worker programs share: how they are told what to do, how they open a store, shared words."""

from __future__ import annotations

import json
import mmap
import os
import sys
from collections.abc import Callable
from typing import Any

from vfs_core.config import Config, StorageSettings
from vfs_core.kernel import Kernel


def open_kernel(db: str, durability: str) -> Kernel:
    """A kernel on a store, without a configuration file."""
    assert durability in ("full", "normal")
    return Kernel(Config(storage=StorageSettings(durability=durability)), db)  # type: ignore[arg-type]


def map_words(path: str) -> memoryview:
    """The 64-bit words of a file, shared with every process that maps it."""
    fd = os.open(path, os.O_RDWR)
    try:
        return memoryview(mmap.mmap(fd, 0)).cast("Q")
    finally:
        os.close(fd)


def ready() -> None:
    """Tell the test that this worker is set up, and wait until all are."""
    print("ready", flush=True)
    if not sys.stdin.readline():
        sys.exit("the test has gone away")


def main(tasks: dict[str, Callable[..., Any]]) -> None:
    """Run the task named by the first argument; what it returns is the last line of output, as JSON."""
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(tasks[name](**arguments)), flush=True)
