"""Which notes go into a budget of tokens, and how much of each: the best first, whole where they fit."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from avm_builtin.memory import tokens
from avm_builtin.memory.excerpts import excerpt
from avm_builtin.memory.frames import Frame, gathered, shared

_LEAST_TEXT = 8
"""Tokens of a note's text below which it is not shown."""
_JOINS = 3
"""Tokens more that a frame may be than its parts: where they meet, they are counted together."""
_FEW = 150
"""Tokens that a note may take even where others wait."""
_PASSED = 10
"""Notes too long for what is left that are passed over for shorter ones behind them."""


def pack(frames: Iterable[Frame], query: str, room: int) -> list[Frame]:
    """Of frames with whole notes, best first, those that fit into `room` tokens, long ones cut to what matches.

    They cost what they do once those that can share a frame do.
    """
    page = _Page(room)
    passed: list[Frame] = []
    seen: set[str] = set()
    for frame in frames:
        if frame.text in seen:
            continue
        seen.add(frame.text)
        if page.take(frame, page.room if page.room <= _FEW else max(_FEW, page.room // 2)):
            continue
        if _is_short(frame.text) or not page.take_part(frame, query):
            passed.append(frame)
        if len(passed) >= _PASSED or page.room < _LEAST_TEXT:
            break
    page.fill(query, passed)
    return page.frames


@dataclass
class _Lot:
    """Frames that share one."""

    first: Frame
    parts: set[str]
    count: int = 1


class _Page:
    """What is shown so far, and the room that is left."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.frames: list[Frame] = []
        self._lots: dict[Hashable, _Lot] = {}
        self._cut: tuple[int, str] | None = None

    def take(self, frame: Frame, most: int) -> bool:
        """Show a note whole, if that takes no more than `most` tokens."""
        key = frame.shares
        lot = None if key is None else self._lots.get(key)
        cost = self._cost(frame, lot)
        if cost > min(most, self.room):
            return False
        if lot is not None:
            lot.count += 1
            lot.parts.add(frame.part)
        elif key is not None:
            self._lots[key] = _Lot(frame, {frame.part})
        self.frames.append(frame)
        self.room -= cost
        return True

    def _cost(self, frame: Frame, lot: _Lot | None) -> int:
        """How many tokens more it is with the frame: by itself, or beside those that it shares a frame with."""
        if lot is None:
            return tokens.count(str(frame)) + _JOINS
        if lot.count == 1:
            return tokens.count(shared([lot.first, frame])) - tokens.count(str(lot.first))
        line, part = tokens.count_each([f"{frame.line}\n", f"{frame.part}\n"])
        return line if frame.part in lot.parts else line + part

    def take_part(self, frame: Frame, query: str) -> bool:
        """Show what of a long note is about the query, in half of the room if that is much, and say if it was."""
        frame = frame._replace(sequence=None)
        bare = tokens.count(str(frame._replace(text=""))) + _JOINS
        share = self.room - bare
        if share < _LEAST_TEXT:
            return False
        part = excerpt(frame.text, query, min(share, max(_FEW, share // 2)))
        self._cut = len(self.frames), frame.text
        self.frames.append(frame._replace(text=part))
        self.room -= bare + tokens.count(part)
        return True

    def fill(self, query: str, passed: list[Frame]) -> None:
        """Give what is left to the last note that was cut, else to the first that was passed over."""
        if self._cut is not None and self.room > 0:
            at, whole = self._cut
            part = excerpt(whole, query, tokens.count(self.frames[at].text) + self.room)
            self.room -= tokens.count(part) - tokens.count(self.frames[at].text)
            self.frames[at] = self.frames[at]._replace(text=part)
        for frame in passed:
            if self.take_part(frame, query):
                break


def _is_short(text: str) -> bool:
    return len(text.encode()) <= _FEW or tokens.count(text) <= _FEW


def text_of(frames: Iterable[Frame]) -> str:
    """The frames as they are shown."""
    return "\n".join(map(shared, gathered(frames)))
