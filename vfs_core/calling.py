"""Calls of what may hang, each with a deadline: the caller is answered in time, whatever a plugin does.

A call runs in a thread that is used again by the next one. Where it is not back at its deadline the caller goes on
without it. What has too many such calls under way is not called any more, until one of them comes back.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from vfs_core.errors import PluginError, TimedOut

Result = TypeVar("Result")

HANGING_MOST, HANGING_MOST_IN_ALL = 4, 64
"""Calls that may hang, of one handler and of all together, before no more are made."""
DEPTH_MOST = 16
"""Handlers that may be waiting for each other: one that reads its own path through the session never ends."""
_IDLE_MOST, _IDLE_SECONDS = 8, 10.0
"""Threads that wait for the next call, and for how long."""

_deadline: contextvars.ContextVar[float] = contextvars.ContextVar("deadline", default=float("inf"))
_depth: contextvars.ContextVar[int] = contextvars.ContextVar("depth", default=0)


class Workers:
    """The threads of one kernel. They are daemons: a call that hangs does not keep a process from ending."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._idle: list[_Worker] = []
        self._hanging: set[_Job[Any]] = set()

    def call(
        self, owner: object, action: Callable[[], Result], deadline: float, *, inline: bool = False
    ) -> Result:
        """What `action` returns or raises, in a thread unless `inline`. Raises TimedOut at the deadline, PluginError.

        What would end a process or a thread (SystemExit, KeyboardInterrupt) is a PluginError, unless `inline`.

        `deadline` is a `time.monotonic()` value; `owner` is whose call it is, with its name as its `str`.
        """
        self._refuse_hanging(owner)
        depth, seconds = _depth.get() + 1, max(0.0, deadline - time.monotonic())
        if depth > DEPTH_MOST:
            raise PluginError(f"{owner} is not called: {DEPTH_MOST} handlers wait for each other already")
        context = contextvars.copy_context()
        context.run(_deadline.set, deadline)
        context.run(_depth.set, depth)
        if inline:
            return context.run(action)
        job = _Job(context, action, owner)
        self._give(job)
        try:
            if not job.ended.wait(seconds):
                raise TimedOut(f"{owner} has not answered within {seconds:.3g} s")
        finally:
            self._leave(job)  # also where the caller was interrupted
        return job.result()

    def after_fork(self) -> None:
        """In a forked child, which has none of the threads."""
        self.__init__()  # type: ignore[misc]

    def _refuse_hanging(self, owner: object) -> None:
        if not self._hanging:
            return
        with self._mutex:
            begun = [job.begun for job in self._hanging if job.owner is owner]
            many = len(self._hanging)
        if len(begun) >= HANGING_MOST:
            raise PluginError(
                f"{owner} is not called: {len(begun)} calls of it hang, the first for "
                f"{time.monotonic() - min(begun):.0f} s; it is called again when one of them ends"
            )
        if many >= HANGING_MOST_IN_ALL:
            raise PluginError(f"{owner} is not called: {many} calls of handlers hang, which is too many")

    def _give(self, job: _Job[Any]) -> None:
        with self._mutex:
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            worker = _Worker(self)
            worker.start()
        worker.jobs.put(job)

    def _leave(self, job: _Job[Any]) -> None:
        """Go on without a call, unless it has ended."""
        with self._mutex:
            if not job.ended.is_set():
                self._hanging.add(job)

    def end(self, job: _Job[Any]) -> None:
        """Take note that a call has ended."""
        with self._mutex:
            job.ended.set()
            self._hanging.discard(job)

    def keep(self, worker: _Worker) -> bool:
        """Whether a thread that has done its call is to wait for another one."""
        with self._mutex:
            if len(self._idle) >= _IDLE_MOST:
                return False
            self._idle.append(worker)
            return True

    def dismiss(self, worker: _Worker) -> bool:
        """Whether a thread that has waited for long may go: not if it has just been given a call."""
        with self._mutex:
            if worker in self._idle:
                self._idle.remove(worker)
                return True
            return False


def deadline_in(seconds: float) -> float:
    """The `time.monotonic()` value so many seconds from now, or the deadline of the call that this is part of."""
    return min(time.monotonic() + seconds, _deadline.get())


class _Job(Generic[Result]):
    """One call, and what came of it."""

    def __init__(self, context: contextvars.Context, action: Callable[[], Result], owner: object) -> None:
        self.owner = owner
        self.begun = time.monotonic()
        self.ended = threading.Event()
        self._context = context
        self._action = action
        self._returned: Result
        self._raised: BaseException | None = None

    def run(self) -> None:
        try:
            self._returned = self._context.run(self._action)
        except BaseException as error:  # noqa: BLE001 - it is the caller's, SystemExit too
            self._raised = error

    def result(self) -> Result:
        raised, self._raised = self._raised, None  # or the traceback keeps all of this alive
        if isinstance(raised, Exception):
            raise raised
        if raised is not None:
            raise PluginError(f"{self.owner} failed: {type(raised).__name__}: {raised}") from raised
        return self._returned


class _Worker(threading.Thread):
    def __init__(self, workers: Workers) -> None:
        super().__init__(name="avm-handler", daemon=True)
        self.jobs: queue.SimpleQueue[_Job[Any]] = queue.SimpleQueue()
        self._workers = workers

    def run(self) -> None:
        while True:
            try:
                job = self.jobs.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                if self._workers.dismiss(self):
                    return
                continue
            job.run()
            self._workers.end(job)
            del job
            if not self._workers.keep(self):
                return
