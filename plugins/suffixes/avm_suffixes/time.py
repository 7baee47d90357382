"""`:ttl` and `:history`: how long a node lives, and what it was."""

from __future__ import annotations

import time

from avm_suffixes.text import decode
from vfs_core.moments import NEVER, format_duration, parse_duration
from vfs_core.rendering import version_json
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import JSON, as_datetime

_MOST = 1000


class Ttl(BaseSuffix):
    """The time that is left, such as `1d2h`, or `never`."""

    needs_store = True
    on_directories = False
    write_operation = Operation.WRITE

    def read(self, context: SuffixContext) -> str:
        """One line."""
        expires = self._expires_ns(context)
        return f"{NEVER if expires is None else format_duration(expires - time.time_ns())}\n"

    def read_json(self, context: SuffixContext) -> JSON:
        """When it expires, or null."""
        expires = self._expires_ns(context)
        return {"expires": None if expires is None else as_datetime(expires).isoformat()}

    def _expires_ns(self, context: SuffixContext) -> int | None:
        found = context.session.require_stored(context.path, self.read_operation)
        return found.stat.expires_ns if found.stat else None

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Let it expire after a duration; `never` takes it back."""
        text = decode(data, f"{context.path}:ttl").strip()
        expires = None if text == NEVER else time.time_ns() + parse_duration(text)
        context.session.set_expiry(context.path, expires)


class History(BaseSuffix):
    """Versions."""

    needs_store = True
    on_directories = False

    def read(self, context: SuffixContext) -> str:
        """A line for each of the last thousand: version, time (ISO 8601, UTC), change, author, bytes, by tabs."""
        versions = context.session.history(context.path, _MOST)
        lines = (
            f"{each.version}\t{each.time.isoformat()}\t{each.operation}\t{each.author}\t{each.size}\n"
            for each in versions
        )
        return "".join(lines)

    def read_json(self, context: SuffixContext) -> JSON:
        """The same."""
        return [version_json(each) for each in context.session.history(context.path, _MOST)]
