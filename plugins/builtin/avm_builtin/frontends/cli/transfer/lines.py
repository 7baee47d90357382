"""Notes as JSON lines: an object on each, all that is needed to have the note again.

    {"path": "/memory/lesson.md", "content": "...", "meta": {"tags": ["risk"]}, "mode": "0666",
     "links": [{"kind": "related", "target": "/memory/other.md", "weight": 1.0}], "owner": "bob", ...}

`base64` stands for `content` that is not UTF-8; `"kind": "dir"` marks a directory. `owner`, `version` and `modified`
are for whoever reads it: an import is the importing agent's own writing.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from vfs_core.errors import Invalid
from vfs_core.rendering import content_json
from vfs_core.types import JSON, Link, Node, Stat

_PERMISSIONS = 0o777


@dataclass(frozen=True)
class Record:
    """One line. `data` None: a directory. `mode` None: whatever is usual where it goes."""

    path: str
    data: bytes | None
    meta: Mapping[str, JSON] | None = None
    mode: int | None = None
    links: tuple[Link, ...] = field(default=())


def node_line(node: Node, links: list[Link]) -> str:
    """A note as a line."""
    described: dict[str, JSON] = {"path": node.path, **content_json(node.data)}
    described["meta"] = node.meta
    described["mode"] = f"{node.stat.mode:04o}"
    described["links"] = [{"kind": link.kind, "target": link.target, "weight": link.weight} for link in links]
    described |= {
        "owner": node.stat.owner,
        "version": node.version,
        "modified": node.stat.modified.isoformat(),
    }
    return _dump(described)


def directory_line(path: str, stat: Stat) -> str:
    """A directory as a line."""
    return _dump({"path": path, "kind": "dir", "mode": f"{stat.mode:04o}", "owner": stat.owner})


def parse_line(line: bytes) -> Record:
    """A line as a record. Raises Invalid saying what is wrong with it."""
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not JSON: {error}") from None
    if not isinstance(given, dict):
        raise Invalid("not a JSON object")
    path = given.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise Invalid("no 'path' that begins with '/'")
    meta = given.get("meta")
    if meta is not None and not isinstance(meta, dict):
        raise Invalid("'meta' is not an object")
    data = None if given.get("kind") == "dir" else _content(given)
    return Record(path, data, meta, _mode(given.get("mode")), _links(path, given.get("links") or []))


def _content(given: Mapping[str, JSON]) -> bytes:
    text, encoded = given.get("content"), given.get("base64")
    try:
        if isinstance(text, str) and encoded is None:
            return text.encode()
        if isinstance(encoded, str) and text is None:
            return base64.b64decode(encoded, validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise Invalid(f"the content is not valid: {error}") from None
    raise Invalid("neither 'content' (text) nor 'base64', or both")


def _mode(given: JSON) -> int | None:
    if given is None:
        return None
    try:
        return int(given, 8) & _PERMISSIONS
    except (TypeError, ValueError):
        raise Invalid(f"'mode' is octal text such as \"0644\", not {given!r}") from None


def _links(path: str, given: JSON) -> tuple[Link, ...]:
    try:
        return tuple(
            Link(path, str(each["kind"]), str(each["target"]), float(each["weight"])) for each in given
        )
    except (TypeError, KeyError, ValueError):
        raise Invalid("'links' is a list of objects with kind, target and weight") from None


def _dump(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
