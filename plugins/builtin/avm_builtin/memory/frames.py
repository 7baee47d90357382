"""How a note is shown to a language model: its provenance on one line, its text inside a fence.

Nothing that a note says can pose as the frame around it: the fence is longer than any in the text, and what
stands on the heading (a path, a name) is on one line without control characters.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vfs_core.types import as_datetime

_BACKTICKS = re.compile(r"`+")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


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
    """What the note says of itself, and what others say of it."""

    def __str__(self) -> str:
        moment = as_datetime(self.time_ns).astimezone().strftime("%Y-%m-%d %H:%M")
        heading = f"[{self.path}] ({self.score:.2f}) {self.author} via {self.door}, {moment}"
        heading = on_one_line(", ".join((heading, *self.remarks)))
        return f"{heading}\n{fenced(self.text)}"


def fenced(text: str) -> str:
    """The text between fences that are longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    text = text.replace("\0", "\ufffd")
    return f"{fence}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{fence}\n"


def on_one_line(text: str) -> str:
    """The text without what could begin a line or turn its direction."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
