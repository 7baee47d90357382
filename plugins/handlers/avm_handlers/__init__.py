"""Handlers that provider rules may name, and the command of one of them. Registers them; imports none.

Each has the schema of its `config` in `avm_schemas/handlers/NAME.schema.json`.
"""

from __future__ import annotations

from vfs_core.hookspecs import hookimpl
from vfs_core.specs import CommandSpec, HandlerSpec

_HTTP = "pip install 'avm[http]'"
_INDEX = "pip install 'avm[index]'"


@hookimpl
def avm_register_handlers() -> list[HandlerSpec]:
    """The handlers that this version serves."""
    return [
        _spec("file", "avm_handlers.file:FileHandler", "A directory of the real file system"),
        _spec("http", "avm_handlers.http:HttpHandler", "What a web service answers", _HTTP),
        _spec("index", "avm_handlers.index:IndexHandler", "A project's files and what they define", _INDEX),
        _spec("memory", "avm_handlers.memory:MemoryHandler", "Another name for a directory of the store"),
        _spec("plugin", "avm_handlers.plugin:PluginHandler", "What a Python module or class reads"),
        _spec("script", "avm_handlers.script:ScriptHandler", "What a command prints"),
        HandlerSpec("skills", "avm_handlers.skills:SkillsHandler", "What is to be known of each handler"),
        _spec("sqlite", "avm_handlers.sqlite:SqliteHandler", "Rows of a query on an SQLite database"),
    ]


@hookimpl
def avm_register_commands() -> list[CommandSpec]:
    """The command of the handler `index`."""
    target = "avm_handlers.indexing.command:index"
    return [
        CommandSpec("index", target, "What changed in a project, and what its code defines", "Code", _INDEX)
    ]


def _spec(name: str, target: str, summary: str, requires: str = "") -> HandlerSpec:
    return HandlerSpec(name, target, summary, f"avm_schemas:handlers/{name}.schema.json", requires)
