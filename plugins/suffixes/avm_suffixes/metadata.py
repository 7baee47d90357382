"""`:meta` and `:tags`: what is said about a node."""

from __future__ import annotations

import json

from avm_suffixes.text import decode
from vfs_core.errors import Invalid
from vfs_core.meta import tags_of
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import JSON


class Meta(BaseSuffix):
    """Metadata as a JSON object."""

    needs_store = True
    write_operation = Operation.WRITE

    def read(self, context: SuffixContext) -> str:
        """`read_json`, indented."""
        return json.dumps(self.read_json(context), indent=2, ensure_ascii=False) + "\n"

    def read_json(self, context: SuffixContext) -> JSON:
        """The metadata; what the node is, without its content, under `node`."""
        session = context.session
        found = session.require_stored(context.path, self.read_operation)
        stat = found.stat
        assert stat is not None
        described: dict[str, JSON] = {
            **json.loads(found.meta_json),
            "node": {
                "path": context.path,
                "id": stat.id,
                "kind": str(stat.kind),
                "mode": f"{stat.mode:04o}",
                "owner": stat.owner,
                "group": stat.group,
                "size": stat.size,
                "version": stat.version,
                "modified": stat.modified.isoformat(),
            },
        }
        return described

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Merge a JSON object into the metadata; null removes a key, `node` is ignored."""
        try:
            patch = json.loads(decode(data, f"{context.path}:meta"))
        except (ValueError, RecursionError) as error:  # no JSON; a number or a nesting over Python's limits
            raise Invalid(
                f'{context.path}:meta takes a JSON object such as {{"title": "…"}}: {error}'
            ) from None
        if not isinstance(patch, dict):
            raise Invalid(f"{context.path}:meta takes a JSON object, not {type(patch).__name__}")
        patch.pop("node", None)
        context.session.update_meta(context.path, patch)


class Tags(BaseSuffix):
    """Tags, comma-separated on one line."""

    needs_store = True
    write_operation = Operation.WRITE

    def read(self, context: SuffixContext) -> str:
        """One line; empty without tags."""
        tags = self.read_json(context)
        return ", ".join(tags) + "\n" if tags else ""

    def read_json(self, context: SuffixContext) -> list[str]:
        """The tags."""
        return tags_of(context.session.require_stored(context.path, self.read_operation).meta_json)

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Set the tags, separated by commas or line breaks; nothing removes all."""
        tags = decode(data, f"{context.path}:tags").replace("\n", ",")
        context.session.update_meta(context.path, {"tags": tags})
