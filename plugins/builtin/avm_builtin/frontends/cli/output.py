"""What goes where: data to standard output, everything else to standard error, nothing hostile to a terminal.

Names and snippets come from other agents, so what could move the cursor, change colours or reorder text is
shown as an escape. Contents of notes are printed as they are.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from vfs_core.rendering import one_line
from vfs_core.types import JSON

_HOSTILE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, what reorders text, and bytes that were not UTF-8."""
_HOSTILE_IN_LINES = re.compile(_HOSTILE.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f"))


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")


def printable(text: str) -> str:
    """The text on one line, harmless to a terminal."""
    return _HOSTILE.sub(_escape, text)


def printable_lines(text: str) -> str:
    """The text with its line breaks, otherwise harmless to a terminal."""
    return _HOSTILE_IN_LINES.sub(_escape, text)


def on_terminal(stream: TextIO | None) -> bool:
    """Whether somebody is looking at a stream."""
    return stream is not None and stream.isatty()


def entry(text: str) -> str:
    """A name as listings print it: on one line always, harmless where somebody is looking."""
    return printable(text) if on_terminal(sys.stdout) else one_line(text)


def put(text: str) -> None:
    """Print a line of data."""
    sys.stdout.write(text + "\n")


def put_bytes(data: bytes) -> None:
    """Print data as it is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def put_json(value: JSON) -> None:
    """Print a value as JSON."""
    put(json.dumps(value, ensure_ascii=False, indent=2))


def note(text: str) -> None:
    """Say something that is not data."""
    sys.stderr.write(printable_lines(text) + "\n")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table where somebody is looking, lines with tabs elsewhere."""
    if not on_terminal(sys.stdout):
        for row in rows:
            put("\t".join(one_line(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    Console(file=sys.stdout, highlight=False).print(drawn)


def size(count: int) -> str:
    """Bytes as a person reads them."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def counted(number: int, singular: str, plural: str = "") -> str:
    """`1 note`, `2 notes`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
