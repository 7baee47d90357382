"""Native models among processes and threads: who may use what after a fork, and how threads wait.

A forked child has the memory of its parent but only the thread that forked. Two things follow. A model that
keeps threads of its own (onnxruntime, CUDA) is loaded anew in the child, and the parent's copy is neither used
nor destroyed there, since both would wait for threads that are gone. And GNU OpenMP keeps a pool for each
thread that computed: the one that forked would wait for a pool that is gone, so it lets another thread compute.

onnxruntime also waits for such threads when a process ends, which nothing here can prevent: a child of a process that
has used it must end by `os._exit` or a new program, as those of multiprocessing and subprocess do.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_WAITING = "OMP_WAIT_POLICY"

_forked_thread: int | None = None
"""In a forked child: the thread that was there from the start. None: this process was not forked."""


class PerProcess(Generic[T]):
    """One value for each process, made when it is first asked for; threads that ask meanwhile wait."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[T] | None = None
        _all.add(self)

    def get(self) -> T:
        """The value. Raises what making it raises, and then tries again next time."""
        made = self._made
        if made is None:
            with self._lock:
                made = self._made
                if made is None:
                    made = self._made = (self._make(),)
        return made[0]

    def _forget(self) -> None:
        _abandoned.append(self._made)
        self._lock = threading.Lock()
        self._made = None


_abandoned: list[object] = []
"""What the parent had loaded; not freed in the child."""
_all: weakref.WeakSet[PerProcess[Any]] = weakref.WeakSet()


@contextmanager
def patient_threads() -> Iterator[None]:
    """Around the loading of a library that uses OpenMP: its threads sleep while they wait.

    By default they spin, and on a machine with other work each waits for one that is not running: measured with
    both cores busy, a query took 1.6 s instead of 15 ms. The library reads the variable once, when it is loaded.
    """
    before = os.environ.get(_WAITING)
    os.environ.setdefault(_WAITING, "PASSIVE")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_WAITING, None)


def is_forked() -> bool:
    """Whether this process was forked from one that had this module imported."""
    return _forked_thread is not None


def compute(work: Callable[[], T]) -> T:
    """What `work` returns or raises, run by a thread that has no pool of a parent's."""
    if threading.get_ident() != _forked_thread:
        return work()
    with ThreadPoolExecutor(1, "avm-embedder") as helper:
        return helper.submit(work).result()


def _after_fork() -> None:
    global _forked_thread
    _forked_thread = threading.get_ident()
    for each in list(_all):
        each._forget()


os.register_at_fork(after_in_child=_after_fork)
