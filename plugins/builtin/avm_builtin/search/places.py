"""The directories that engines keep their files in: one is in use, named by the side file; others are left-overs.

Not here: what is in the files, but for tantivy's own account of them (`meta.json`).
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

META = "meta.json"
_FOOTER = '{"version":{"major":,"minor":,"patch":,"index_format_version":},"crc":}'
"""What tantivy ends its files with, but for the numbers."""


class _Segment(TypedDict):
    segment_id: str
    max_doc: int
    deletes: object


class Meta(TypedDict):
    """What tantivy says of its last commit, as far as it is of interest."""

    segments: list[_Segment]
    opstamp: int


class Places:
    """Directories below one."""

    def __init__(self, directory: str, mode: int) -> None:
        """`mode` is what files get; directories can be entered by who can read."""
        self._directory = Path(directory)
        self._mode = mode

    def path(self, place: str) -> Path:
        """Where a place is."""
        return self._directory / place

    def make(self) -> str:
        """A new place."""
        place = os.urandom(4).hex()
        for path in (self._directory, self.path(place)):
            path.mkdir(exist_ok=True)
            _set_mode(path, self._mode | (self._mode & 0o444) >> 2)
        return place

    def settle(self, place: str) -> None:
        """Give all files of a place their permissions, whatever the umask is."""
        for each in self.path(place).iterdir():
            _set_mode(each, self._mode)

    def keep(self, place: str) -> None:
        """Throw all places away but this one ('': all); for the holder of the follower's lease."""
        if not place:
            shutil.rmtree(self._directory, ignore_errors=True)
        elif self._directory.exists():
            for each in self._directory.iterdir():
                if each.name != place:
                    shutil.rmtree(each, ignore_errors=True)

    def files(self) -> list[str]:
        """All files of all places."""
        return sorted(str(path) for path in self._directory.rglob("*") if path.is_file())

    def meta(self, place: str) -> Meta:
        """What tantivy says of a place. Raises OSError, ValueError."""
        meta: Meta = json.loads((self.path(place) / META).read_text())
        return meta

    def vocabulary(self, place: str) -> str:
        """What the files of a place say whatever the documents are."""
        try:
            return f"{_FOOTER}\n{(self.path(place) / META).read_text()}" if place else ""
        except (OSError, ValueError):
            return ""

    def is_clean(self, place: str, stamp: int) -> bool:
        """Whether the files have what was in that commit and nothing else, nor anything that was deleted."""
        try:
            meta = self.meta(place)
            stems = {path.name.partition(".")[0] for path in self.path(place).iterdir()}
        except (OSError, ValueError):
            return False
        segments = meta["segments"]
        known = {segment["segment_id"].replace("-", "") for segment in segments} | {"", "meta"}
        return (
            meta["opstamp"] == stamp
            and stems <= known
            and all(segment["deletes"] is None for segment in segments)
        )


def _set_mode(path: Path, mode: int) -> None:
    """Set permissions; what is another user's has got them from that user."""
    with suppress(FileNotFoundError, PermissionError):
        if path.stat().st_mode & 0o7777 != mode:
            path.chmod(mode)
