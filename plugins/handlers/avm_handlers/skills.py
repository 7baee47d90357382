"""The `skills` handler: what an agent should know to use a handler, at `/.avm/handlers/NAME`.

AVM mounts it by itself, behind all rules of the configuration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from vfs_core.errors import PluginError
from vfs_core.handler import BaseHandler, Context
from vfs_core.path import compile_pattern
from vfs_core.specs import Spec


class SkillsHandler(BaseHandler):
    """Describes the handlers that are installed: what each is for, what it can do, and its settings. Only reads."""

    keeps_deadline = True

    def read(self, path: str, context: Context) -> str | None:
        """What is said of the handler called as the path's last component."""
        registry = context.session.kernel.registry
        name = context.relative
        spec = registry.handlers().get(name)
        if spec is None:
            return None
        try:
            loaded = registry.load("handler", name)
        except PluginError as error:
            return f"# {name}\n\n{spec.summary}.\n\nIt cannot be used: {error}\n"
        capable = loaded.capabilities()
        able = [
            "read",
            *(
                each
                for each in ("write", "append", "list", "stat", "delete", "rename")
                if getattr(capable, each)
            ),
        ]
        skill = loaded.skill_info() or f"{spec.summary}."
        parts = [f"# {name}", skill, f"It can: {', '.join(able)}.", _used(context, name), _settings(spec)]
        return "\n\n".join(filter(None, parts)) + "\n"

    def list(self, path: str, context: Context) -> list[str]:
        """The names of the handlers."""
        return [] if context.relative else sorted(context.session.kernel.registry.handlers())


def _used(context: Context, name: str) -> str:
    """The patterns that it serves in this configuration, of what the caller may know of."""
    session = context.session
    rules = [
        rule.pattern
        for rule in session.kernel.config.providers
        if rule.handler == name and session.judge.knows_directory(compile_pattern(rule.pattern).prefix)
    ]
    return f"It serves: {', '.join(f'`{pattern}`' for pattern in rules)}." if rules else ""


def _settings(spec: Spec) -> str:
    schema = spec.schema()
    given = schema.get("properties") if schema else None
    if not schema or not isinstance(given, Mapping):
        return ""
    needed = schema.get("required")
    required = needed if isinstance(needed, list) else []
    lines = ["Settings (`config:`):", ""]
    for key, described in given.items():
        says = described.get("description", "") if isinstance(described, Mapping) else ""
        kind = described.get("type", "") if isinstance(described, Mapping) else ""
        kind = kind if isinstance(kind, str) else json.dumps(kind)
        lines.append(
            f"- `{key}`{f' ({kind})' if kind else ''}{', required' if key in required else ''}: {says}"
        )
    return "\n".join(lines)
