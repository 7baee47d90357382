"""Running one program under limits: of time and of output; nothing of it is left when it is over.

The program leads a session and process group of its own, and the whole group is killed when the program has ended,
when its time is over or when it says too much. What goes into a session of its own escapes that. What this module is
not: it decides nothing about which program is run, or what its answer means.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, NamedTuple

STDERR_KEPT = 8192
"""Bytes of the end of stderr that are kept."""

_CHUNK = 1 << 16
_LOOK = 0.05
"""Seconds between looks whether a program has ended whose pipes somebody else holds open."""

_REAP = 2.0
"""Seconds within which a killed process is gone."""


class Ended(NamedTuple):
    """How a program ended.

    `status` is its exit status, negative for the signal that ended it. `stopped` says what it was killed for:
    `time`, `output`, or nothing.
    """

    status: int
    stdout: bytes
    stderr: bytes
    stopped: str = ""


def run(
    arguments: Sequence[str],
    executable: str,
    *,
    environ: Mapping[str, str],
    cwd: str,
    data: bytes | None,
    seconds: float,
    max_bytes: int | None,
) -> Ended:
    """Run the program `executable` with `arguments` (its own name first) until it ends or is stopped.

    `data` is what it gets on stdin; None: nothing. With `max_bytes` None nobody wants to know what it prints. Raises
    OSError if it cannot be started.
    """
    end = time.monotonic() + seconds
    process = subprocess.Popen(
        list(arguments),
        executable=executable,
        env=dict(environ),
        cwd=cwd,
        stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
        stdout=subprocess.DEVNULL if max_bytes is None else subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,
    )
    try:
        streams = _Streams(process, data)
        stopped = streams.exchange(end, max_bytes)
        while not stopped and not _has_ended(process):
            if time.monotonic() >= end:
                stopped = "time"
            time.sleep(0.002)
    finally:
        _kill_group(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    status = -signal.SIGKILL if process.returncode is None else process.returncode
    return Ended(status, bytes(streams.stdout), bytes(streams.stderr), stopped)


class _Streams:
    """The three pipes of a process, served until nothing more comes."""

    def __init__(self, process: subprocess.Popen[bytes], data: bytes | None) -> None:
        self._process = process
        self._left = memoryview(data or b"")
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._selector = selectors.DefaultSelector()
        for stream in (process.stdout, process.stderr):
            self._register(stream, selectors.EVENT_READ)
        self._register(process.stdin, selectors.EVENT_WRITE)

    def exchange(self, end: float, max_bytes: int | None) -> str:
        """Feed and collect; returns what the process is to be stopped for, or nothing."""
        with self._selector:
            return self._exchange(end, max_bytes)

    def _exchange(self, end: float, max_bytes: int | None) -> str:
        ended = False
        while self._selector.get_map():
            left = end - time.monotonic()
            if left <= 0:
                return "time"
            ready = self._selector.select(0 if ended else min(left, _LOOK))
            for key, _ in ready:
                stream: IO[bytes] = key.fileobj  # type: ignore[assignment]  # what was registered
                self._serve(stream)
            if max_bytes is not None and len(self.stdout) > max_bytes:
                return "output"
            # What it wrote before it ended is in the pipes by now; what others hold open is not waited for.
            if ended and not any(key.fileobj is not self._process.stdin for key, _ in ready):
                return ""
            ended = ended or (not ready and _has_ended(self._process))
        return ""

    def _register(self, stream: IO[bytes] | None, events: int) -> None:
        if stream is not None:
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, events)

    def _serve(self, stream: IO[bytes]) -> None:
        if stream is self._process.stdin:
            try:
                self._left = self._left[os.write(stream.fileno(), self._left[:_CHUNK]) :]
            except BlockingIOError:
                return
            except BrokenPipeError:  # it does not want the rest
                self._left = self._left[:0]
            if not self._left:
                self._finish(stream)
            return
        try:
            chunk = os.read(stream.fileno(), _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._finish(stream)
        elif stream is self._process.stdout:
            self.stdout += chunk
        else:
            self.stderr = (self.stderr + chunk)[-STDERR_KEPT:]

    def _finish(self, stream: IO[bytes]) -> None:
        self._selector.unregister(stream)
        stream.close()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended; where the system can tell, without reaping it.

    Until it is reaped nobody else gets its number, so that killing its group kills no stranger.
    """
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # reaped by somebody else
        return True


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End all that is left of the process and its group, and reap it."""
    with suppress(ProcessLookupError, PermissionError):  # macOS: the latter if only a zombie is left
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # another user's (sudo) is not ours to kill; it is reaped later
        process.wait(_REAP)
