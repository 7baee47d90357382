"""Rows of a database as text: JSON, CSV or Markdown, made while they are read, up to a size."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from vfs_core.errors import TooLarge
from vfs_core.types import JSON

Value: TypeAlias = "int | float | str | bytes | None"
Rows: TypeAlias = "Iterable[Sequence[Value]]"

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_MARKDOWN = str.maketrans({"\\": r"\\", "|": r"\|", "&": "&amp;", "<": "&lt;"})


def distinct(columns: Sequence[str]) -> list[str]:
    """The names of columns, the second `id` as `id_2`, since JSON has each name once."""
    names: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in names or (number > 1 and name in columns):
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def json_list(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    """A list with one object for each row, each on a line."""
    before = "["
    for row in rows:
        yield f"{before}\n{_object(columns, row)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def json_object(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    """The object of each row, on a line."""
    for row in rows:
        yield f"{_object(columns, row)}\n"


def csv_table(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    """A line with the names and one for each row, as RFC 4180 has it."""
    yield _csv_line(columns)
    for row in rows:
        yield _csv_line([plain(value) for value in row])


def markdown_table(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    """A table as GitHub and others know it."""
    yield _markdown_line(columns)
    yield _markdown_line(["---"] * len(columns))
    for row in rows:
        yield _markdown_line([plain(value) for value in row])


def limited(pieces: Iterable[str], most: int, otherwise: Callable[[], TooLarge]) -> bytes:
    """The pieces as UTF-8. Raises what `otherwise` gives as soon as they are over `most` bytes."""
    out, size = [], 0
    for piece in pieces:
        encoded = piece.encode()
        size += len(encoded)
        if size > most:
            raise otherwise()
        out.append(encoded)
    return b"".join(out)


def plain(value: Value) -> str:
    """A value where there is only text: nothing for NULL, base64 for bytes."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return str(value)


def _object(columns: Sequence[str], row: Sequence[Value]) -> str:
    values = {name: _json_value(value) for name, value in zip(columns, row, strict=True)}
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def _json_value(value: Value) -> JSON:
    if isinstance(value, bytes):
        return {"base64": plain(value)}
    if isinstance(value, float) and math.isinf(value):
        return plain(value)  # JSON has no number for it
    return value


def _csv_line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()


def _markdown_line(cells: Sequence[str]) -> str:
    escaped = (_LINE_BREAK.sub("<br>", cell.translate(_MARKDOWN)) for cell in cells)
    return f"| {' | '.join(escaped)} |\n"
