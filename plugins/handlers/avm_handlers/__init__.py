"""Handlers that provider rules may name. Registers them; imports none.

Each has the schema of its `config` in `avm_schemas/handlers/NAME.schema.json`.
"""

from __future__ import annotations

from vfs_core.hookspecs import hookimpl
from vfs_core.specs import HandlerSpec


@hookimpl
def avm_register_handlers() -> list[HandlerSpec]:
    """The handlers that this version serves."""
    return [
        _spec("file", "avm_handlers.file:FileHandler", "A directory of the real file system"),
        _spec("memory", "avm_handlers.memory:MemoryHandler", "Another name for a directory of the store"),
        HandlerSpec("skills", "avm_handlers.skills:SkillsHandler", "What is to be known of each handler"),
        _spec("script", "avm_handlers.script:ScriptHandler", "What a command prints"),
    ]


def _spec(name: str, target: str, summary: str, requires: str = "") -> HandlerSpec:
    return HandlerSpec(name, target, summary, f"avm_schemas:handlers/{name}.schema.json", requires)
