"""Metadata: how a patch merges into what is stored, and which tags result.

Stored metadata is canonical JSON text, so that equal metadata is equal text in every engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from vfs_core.errors import Invalid, TooLarge
from vfs_core.moments import as_ns
from vfs_core.types import JSON

META_MAX = 1024 * 1024
"""Bytes of metadata that a node may carry."""
EMPTY = "{}"


def merge(current: str, patch: Mapping[str, JSON]) -> str:
    """The metadata text after `patch`: its values replace, None removes a key, other keys stay.

    `tags` becomes a sorted list of distinct tags. Raises Invalid for what JSON cannot say, TooLarge over
    META_MAX.
    """
    merged: dict[str, JSON] = json.loads(current) if current != EMPTY else {}
    for key, given in patch.items():
        if not isinstance(key, str):
            raise Invalid(f"the metadata key {key!r} is not a string")
        value = normalize_tags(given) if key == "tags" and given is not None else given
        if value is None or (key == "tags" and not value):
            merged.pop(key, None)
        else:
            merged[key] = value
    try:
        text = json.dumps(merged, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"the metadata cannot be stored as JSON: {error}") from None
    if size > META_MAX:
        raise TooLarge(f"the metadata would take {size:,} bytes; at most {META_MAX:,} are kept with a note")
    return text


def reverse_patch(old: str, new: str) -> dict[str, JSON]:
    """The patch that `merge` turns `new` back into `old` with."""
    before: dict[str, JSON] = json.loads(old)
    after: dict[str, JSON] = json.loads(new)
    return {key: before.get(key) for key in {*before, *after} if before.get(key) != after.get(key)}


def normalize_tags(value: JSON) -> list[str]:
    """Sorted distinct tags from a list of strings or one comma-separated string."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)):
        raise Invalid(f"tags are a list of strings, not {value!r}")
    tags: set[str] = set()
    for tag in value:
        if not isinstance(tag, str):
            raise Invalid(f"the tag {tag!r} is not a string")
        if "\0" in tag or "," in tag or "\n" in tag:
            raise Invalid(f"the tag {tag!r} contains a comma, a line break or NUL")
        if tag.strip():
            tags.add(tag.strip())
    return sorted(tags)


def title_of(meta_json: str) -> str | None:
    """The title in a stored metadata text, where that is a text."""
    title = json.loads(meta_json).get("title") if '"title"' in meta_json else None
    return title if isinstance(title, str) else None


def tags_of(meta_json: str) -> list[str]:
    """The tags in a stored metadata text."""
    if '"tags"' not in meta_json:
        return []
    tags = json.loads(meta_json).get("tags", [])
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def happened_ns(meta: Mapping[str, JSON], written_ns: int) -> int:
    """When what a note tells of happened: its `time`, else when it was written."""
    told = meta.get("time")
    if told is None:
        return written_ns
    try:
        return as_ns(str(told))
    except Invalid:
        return written_ns
