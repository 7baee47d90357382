"""Handlers that provider rules may name. Registers them; imports none."""

from __future__ import annotations

from vfs_core.hookspecs import hookimpl
from vfs_core.specs import HandlerSpec


@hookimpl
def avm_register_handlers() -> list[HandlerSpec]:
    """The handlers that this version serves."""
    return [
        HandlerSpec(
            "memory",
            "avm_handlers.memory:MemoryHandler",
            "Another name for a directory of the store",
            {
                "type": "object",
                "properties": {
                    "root": {"type": "string", "pattern": "^/", "description": "the directory in the store"}
                },
                "required": ["root"],
                "additionalProperties": False,
            },
        )
    ]
