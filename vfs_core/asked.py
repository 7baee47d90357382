"""What a question says of the notes that it asks for, beside their words: whose they are, and of when.

"What did Ana say in May 2024?" names an author and a month. Notes carry both in their metadata (`author`, `time`).
Not here: what follows for the ranking (`ranking.py`), and words, which are the index's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

MAX_QUESTION = 10_000
"""Characters of a question that are looked at."""

_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_WORD = re.compile(r"\w+")
_BLANKS = re.compile(r"\s+")
_YEAR = r"(?:19|20)\d\d"
_NAME = "|".join((*_MONTHS, "sept", *(month[:3] for month in _MONTHS)))
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_ISO = re.compile(rf"\b({_YEAR})-(\d\d)(?:-(\d\d))?(?!\d)")
_HINT = re.compile(rf"\d|\b(?:{_NAME})\b")
_CHINESE = re.compile(rf"(?:({_YEAR})\s*年)?\s*(?:(\d{{1,2}})\s*月)?\s*(?:(\d{{1,2}})\s*[日号])?")
_DAY_FIRST = re.compile(rf"\b({_DAY})\s+(?:of\s+)?({_NAME})\b\.?,?(?:\s+({_YEAR}))?")
_MONTH_FIRST = re.compile(rf"\b({_NAME})\b\.?\s+({_DAY})\b(?!\d)(?:,?\s+({_YEAR}))?")
_MONTH_YEAR = re.compile(rf"\b({_NAME})\b\.?,?\s+(?:of\s+)?({_YEAR})\b")
# "may" and "march" are months only beside a number, or after a word that stands before times.
_MONTH = re.compile(rf"\b(?:in|of|since|until|during|by|last|this|early|mid|late)[\s-]({_NAME})\b")
_ALONE = re.compile(rf"\b({_YEAR})\b")


@dataclass(frozen=True)
class Day:
    """A day, month or year, by the parts that were named: 0 where one was not."""

    year: int = 0
    month: int = 0
    day: int = 0

    def holds(self, time: str) -> bool:
        """Whether an ISO 8601 time lies in it."""
        parts = _ISO.match(time)
        if parts is None:
            return False
        own = [int(part or 0) for part in parts.groups()]
        return all(
            mine in (0, theirs) for mine, theirs in zip((self.year, self.month, self.day), own, strict=True)
        )


@dataclass(frozen=True)
class Question:
    """A question taken apart."""

    words: frozenset[str]
    text: str
    """All of it, folded."""
    asked: str
    """All of it as it was put."""
    days: tuple[Day, ...]

    def names(self, author: str) -> bool:
        """Whether it names that author, by any part of the name that is no mere initial."""
        parts = [part for part in _WORD.findall(author.casefold()) if len(part) > 1]
        return any(part in self.words if part.isascii() else part in self.text for part in parts)

    def without(self, authors: Iterable[str]) -> str:
        """The question without the names of those authors, unless nothing would be left of it.

        Whose a note is its metadata says. A model that is asked for a name finds what mentions it, which mostly is
        what others said to that author.
        """
        parts = {part for author in authors for part in _WORD.findall(author) if len(part) > 1}
        if not parts:
            return self.asked
        left = re.sub(_names(frozenset(parts)), " ", self.asked)
        left = _BLANKS.sub(" ", left).strip()
        return left if _WORD.search(left) else self.asked

    def means(self, time: str) -> bool:
        """Whether it names a day, month or year in which that ISO 8601 time lies."""
        return any(day.holds(time) for day in self.days)


@lru_cache(maxsize=256)
def question(text: str) -> Question:
    """Take a question apart."""
    asked = text[:MAX_QUESTION]
    folded = asked.casefold()
    return Question(frozenset(_WORD.findall(folded)), folded, asked, tuple(dict.fromkeys(_days(folded))))


def _names(parts: frozenset[str]) -> re.Pattern[str]:
    """Any of the names: in ASCII letters as whole words, with their genitive; else wherever they stand."""
    spelled = [rf"\b{re.escape(part)}\b(?:['’]s\b)?" if part.isascii() else re.escape(part) for part in parts]
    return re.compile("|".join(spelled), re.IGNORECASE)


def _days(text: str) -> list[Day]:
    found: list[Day] = []

    def take(pattern: re.Pattern[str], *order: str) -> None:
        nonlocal text
        for match in pattern.finditer(text):
            named = dict(zip(order, match.groups(), strict=True))
            parts = {part: _number(value) for part, value in named.items() if value}
            if "year" in parts or "month" in parts:
                found.append(Day(**parts))
        # What one pattern has taken is not for the next.
        text = pattern.sub(" ", text)

    if not _HINT.search(text):
        return found
    take(_ISO, "year", "month", "day")
    if "年" in text or "月" in text:
        take(_CHINESE, "year", "month", "day")
    take(_DAY_FIRST, "day", "month", "year")
    take(_MONTH_FIRST, "month", "day", "year")
    take(_MONTH_YEAR, "month", "year")
    take(_MONTH, "month")
    take(_ALONE, "year")
    return found


def _number(text: str) -> int:
    digits = re.match(r"\d+", text)
    if digits:
        return int(digits.group())
    return next(number for number, month in enumerate(_MONTHS, 1) if month.startswith(text[:3]))
