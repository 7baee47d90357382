"""`:delta` and `:mark`: what has changed since this agent last read it, and how far that was."""

from __future__ import annotations

from avm_suffixes.text import decode
from vfs_core import marks
from vfs_core.errors import Invalid
from vfs_core.marks import Delta as Changed
from vfs_core.rendering import local_time
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import JSON, as_datetime

_NOTHING = "(no changes)\n"
_SESSION = "session"
_SHOWN = "shown"


class Delta(BaseSuffix):
    """A unified diff since the last reading of this agent, or of its session that the query names.

    Getting it to its end is reading: the mark then moves to the version that it showed.
    """

    needs_store = True
    on_directories = False
    options = (_SESSION,)

    def read(self, context: SuffixContext) -> str:
        """A line with version and time, and the diff; `(no changes)` if there are none."""
        found = _changed(context)
        if not found.diff:
            return _NOTHING
        kept = "" if context.session.store.writable else ", not marked: the store is read-only"
        return f"# v{found.version} ({local_time(found.time_ns)}){kept}\n{found.diff}"

    def read_json(self, context: SuffixContext) -> JSON:
        """The same in parts."""
        found = _changed(context)
        return {
            "path": found.path,
            "since": found.since,
            "version": found.version,
            "time": as_datetime(found.time_ns).isoformat(),
            "changed": bool(found.diff),
            "diff": found.diff,
            "marked": context.session.store.writable,
        }

    def delivered(self, context: SuffixContext) -> None:
        """Move the mark on to the version that was shown."""
        shown = context.kept.get(_SHOWN)
        if isinstance(shown, Changed) and context.session.store.writable:
            marks.read_to(context.session, shown, context.query.get(_SESSION, ""))


def _changed(context: SuffixContext) -> Changed:
    found = marks.delta(context.session, context.path, context.query.get(_SESSION, ""))
    context.kept[_SHOWN] = found
    return found


class Mark(BaseSuffix):
    """The version up to which this agent, or its session that the query names, has read; 0 if none."""

    needs_store = True
    on_directories = False
    write_operation = Operation.READ
    options = (_SESSION,)

    def read(self, context: SuffixContext) -> str:
        """One line."""
        return f"{self._position(context)}\n"

    def read_json(self, context: SuffixContext) -> JSON:
        """The same."""
        return {"path": context.path, "version": self._position(context)}

    @staticmethod
    def _position(context: SuffixContext) -> int:
        return marks.position(context.session, context.path, context.query.get(_SESSION, ""))

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Set it to a version, or with `now` to the present one; nothing, or 0, forgets it."""
        text = decode(data, f"{context.path}:mark").strip()
        if text and text != "now" and not (text.isascii() and text.isdecimal() and len(text) < 19):
            raise Invalid(f"{context.path}:mark takes a version such as 3, 'now', or nothing, not {text!r}")
        version = None if text == "now" else int(text or 0)
        marks.move(context.session, context.path, version, context.query.get(_SESSION, ""))
