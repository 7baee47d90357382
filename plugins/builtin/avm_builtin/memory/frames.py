"""How notes are shown to a language model: their provenance on one line, their text inside a fence.

Nothing that a note says can pose as the frame around it: the fence is longer than any in the text, and what
stands on the heading (a path, a name) is on one line without control characters. Short remarks of
conversations share a frame, a line each: the heading has what they have in common, and what is kept on one line cannot
begin another.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from vfs_core.path import split
from vfs_core.types import as_datetime

REMARK = 500
"""Characters up to which a text on one line may share a frame."""
_BACKTICKS = re.compile(r"`+")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PLAIN_NAME = re.compile(r"[^\[\]():`]{1,80}")
"""What may stand before a text on its line: nothing that has a meaning there."""


class Frame(NamedTuple):
    """A note, or a part of it, as it is shown."""

    path: str
    score: float
    author: str
    """Who wrote it last, as the journal knows."""
    door: str
    time_ns: int
    text: str
    remarks: tuple[str, ...] = ()
    """What others say of the note."""
    speaker: str = ""
    """Whose words it says that it holds, if not its author's."""
    sequence: Hashable = None
    """What it belongs to, with others."""

    def __str__(self) -> str:
        heading = f"[{self.path}] ({self.score:.2f}) {self._origin} {_minute(self.time_ns)}"
        spoken = (f"attributed to {self.speaker}",) if self.speaker else ()
        heading = on_one_line(", ".join((heading, *spoken, *self.remarks)))
        return f"{heading}\n{fenced(self.text)}"

    @property
    def shares(self) -> Hashable:
        """What the frames that it may share one with have in common; None: it stands alone."""
        name = split(self.path)[1]
        if self.sequence is None or self.remarks or len(self.text) > REMARK or _INVISIBLE.search(self.text):
            return None
        if not (_PLAIN_NAME.fullmatch(name) and (not self.speaker or _PLAIN_NAME.fullmatch(self.speaker))):
            return None
        return _above(self.path), self.author, self.door

    @property
    def part(self) -> str:
        """Its line in a frame that is shared: which folder, and when."""
        folder = split(self.path)[0]
        return f"{on_one_line(folder.rpartition('/')[2])}/ {_minute(self.time_ns)}"

    @property
    def line(self) -> str:
        """The note's own line there."""
        speaker = f" {self.speaker}" if self.speaker else ""
        return f"[{split(self.path)[1]}] ({self.score:.2f}){speaker}: {self.text}"

    @property
    def _origin(self) -> str:
        return f"{self.author} via {self.door},"


def shared(frames: Sequence[Frame]) -> str:
    """Frames with the same `shares` as one: a line for each folder and time, and below it one for each note.

    Folders come as the first note of each does, their notes in order of time.
    """
    if len(frames) == 1:
        return str(frames[0])
    parts: dict[str, list[Frame]] = {}
    for each in frames:
        parts.setdefault(each.part, []).append(each)
    heading = f"[{_above(frames[0].path)}/] {frames[0]._origin} each at its time"
    if any(each.speaker for each in frames):
        heading += ", attributed as named"
    lines = []
    for part, members in parts.items():
        lines.append(part)
        lines += [each.line for each in sorted(members, key=lambda each: (each.time_ns, each.path))]
    return f"{on_one_line(heading)}\n{fenced(chr(10).join(lines))}"


def gathered(frames: Iterable[Frame]) -> list[list[Frame]]:
    """Frames that share one together, each lot where the first of it stands."""
    lots: dict[Hashable, list[Frame]] = {}
    for number, frame in enumerate(frames):
        key = frame.shares
        lots.setdefault(number if key is None else key, []).append(frame)
    return list(lots.values())


def on_one_line(text: str) -> str:
    """The text without what could begin a line or turn its direction."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _above(path: str) -> str:
    """The folder that the folder of a note is in: what the notes of one frame have in common."""
    return split(path)[0].rpartition("/")[0]


def fenced(text: str) -> str:
    """The text between fences that are longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    text = text.replace("\0", "\ufffd")
    return f"{fence}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{fence}\n"


@lru_cache(maxsize=1 << 10)
def _minute(time_ns: int) -> str:
    return as_datetime(time_ns).astimezone().strftime("%Y-%m-%d %H:%M")
