"""The suffix: `PATH:json` for everything that holds JSON."""

from __future__ import annotations

import json
import re

from avm import BaseSuffix, SuffixContext
from avm.errors import Invalid, NotFound
from vfs_core.types import JSON

_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(\d+)\]")


class Json(BaseSuffix):
    """JSON, indented; `?at=tags[0]` for a part of it. Reading it amounts to reading the base."""

    on_directories = False
    options = ("at",)

    def read(self, context: SuffixContext) -> str:
        """The part that the query names, or all. Raises Invalid, NotFound."""
        try:
            value: JSON = json.loads(context.node().data)
        except ValueError as error:
            raise Invalid(f"{context.path} is not JSON: {error}") from error
        at = context.query.get("at", "")
        part = _part(value, at, context.path)
        return json.dumps(part, ensure_ascii=False, indent=2) + "\n"


def _part(value: JSON, at: str, path: str) -> JSON:
    end = 0
    for step in _STEP.finditer(at):
        if step.start() != end:
            break
        end = step.end()
        name, position = step.groups()
        if name is not None and isinstance(value, dict) and name in value:
            value = value[name]
        elif position is not None and isinstance(value, list) and int(position) < len(value):
            value = value[int(position)]
        else:
            raise NotFound(f"{path}: nothing is at {at[:end]!r}")
    if end != len(at):
        raise Invalid(f"?at= is keys and [positions], such as user.tags[0], not {at!r}")
    return value
