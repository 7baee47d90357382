"""A line on a terminal that says how far something has come, once it has taken a second."""

from __future__ import annotations

import sys
import time

from avm_builtin.frontends.cli.output import on_terminal

_QUIET_SECONDS = 1.0
_STEP_SECONDS = 0.1
_WIDTH = 30


class Progress:
    """Used as `with Progress("notes", total) as progress: progress.add(1)`. `total` 0: not known."""

    def __init__(self, what: str, total: int = 0) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._next = time.monotonic() + _QUIET_SECONDS
        self._visible = on_terminal(sys.stderr)
        self._drawn = False

    def expect(self, total: int) -> None:
        """It has become known how many there are."""
        self._total = total

    def add(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        now = time.monotonic()
        if self._visible and now >= self._next:
            self._next = now + _STEP_SECONDS
            self._draw()

    def reach(self, done: int, total: int) -> None:
        """So many of so many are done."""
        self._total = total
        self.add(done - self._done)

    def clear(self) -> None:
        """Wipe the line, so that something else can be said."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False

    def _draw(self) -> None:
        shown = f"{self._done:,} {self._what}"
        if self._total:
            filled = min(_WIDTH, self._done * _WIDTH // self._total)
            shown = f"[{'#' * filled:<{_WIDTH}}] {self._done:,} of {self._total:,} {self._what}"
        sys.stderr.write(f"\r\x1b[K{shown}")
        sys.stderr.flush()
        self._drawn = True

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
