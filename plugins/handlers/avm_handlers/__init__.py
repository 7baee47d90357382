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
        _spec("memory", "avm_handlers.memory:MemoryHandler", "Another name for a directory of the store"),
        _spec(
            "http", "avm_handlers.http:HttpHandler", "What a web service answers", "pip install 'avm[http]'"
        ),
    ]


def _spec(name: str, target: str, summary: str, requires: str = "") -> HandlerSpec:
    return HandlerSpec(name, target, summary, f"avm_schemas:handlers/{name}.schema.json", requires)
