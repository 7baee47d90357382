"""Moments and durations as people write them: `2h`, `2026-03-20`, `2026-03-20T14:30`, `yesterday`."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import TypeAlias

from vfs_core.errors import Invalid

DAY_NS = 86_400 * 1_000_000_000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
NEVER = "never"
Moment: TypeAlias = "int | datetime | str"
"""Nanoseconds since the epoch, a datetime, or a text that `parse_moment` takes."""
_LATEST_NS = 2**63 - 1


def parse_duration(text: str) -> int:
    """Nanoseconds in a duration such as `90s`, `5m`, `2h`, `1d`, `1w` or `1h30m`. Raises Invalid."""
    given = text.strip().lower()
    if not _DURATION.fullmatch(given):
        raise Invalid(f"{text!r} is not a duration such as 90s, 5m, 2h, 1d or 1w")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(given))
    if seconds * 1e9 > _LATEST_NS / 2:
        raise Invalid(f"{text!r} is longer than can be kept")
    return int(seconds * 1_000_000_000)


def format_duration(nanoseconds: int) -> str:
    """A duration in its two largest units, such as `1d2h` or `45s`."""
    seconds, parts = max(0, nanoseconds) // 1_000_000_000, []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


def as_ns(moment: Moment, *, end: bool = False) -> int:
    """Nanoseconds since the epoch of a moment: as given, of a datetime (local without a zone), or of a text."""
    if isinstance(moment, str):
        return parse_moment(moment, end=end)
    if isinstance(moment, datetime):
        moment = int(moment.timestamp() // 1) * 1_000_000_000 + moment.microsecond * 1000
    return max(-_LATEST_NS + 1, min(moment, _LATEST_NS - 1))  # of the year 2999 no store has anything


def parse_moment(text: str, *, end: bool = False) -> int:
    """Nanoseconds since the epoch of an ISO 8601 date or time, or of a duration ago.

    Without an offset it is local time. A bare date is its first moment, with `end` its last. Raises Invalid.
    """
    given = text.strip()
    if given.lower() == "now":
        return time.time_ns()
    if _DURATION.fullmatch(given.lower()):
        return time.time_ns() - parse_duration(given)
    day = {"today": 0, "yesterday": 1}.get(given.lower())
    if day is not None:
        given = (datetime.now() - timedelta(days=day)).date().isoformat()
    try:
        moment = datetime.fromisoformat(given[:-1] + "+00:00" if given.endswith(("Z", "z")) else given)
        bare = len(given) <= len("2026-03-20")
        if bare and end:
            moment += timedelta(days=1)
        found = as_ns(moment)
    except (ValueError, OverflowError, OSError):
        raise Invalid(
            f"{text!r} is neither a time such as 2026-03-20 or 2026-03-20T14:30, nor a duration ago such as 2h"
        ) from None
    return found - 1 if bare and end else found
