"""`init`: makes what is missing, and says where everything is."""

from __future__ import annotations

import os
from pathlib import Path

import click

from avm_builtin.frontends.cli.output import entry, put, put_json
from avm_builtin.frontends.cli.state import App
from vfs_core.errors import Exists

BOUNDARY = (
    "On one machine, agents under your OS account are kept apart against mistakes, not malice: any of them can open "
    "the database file or claim another name. For real separation, use the server with keys, or PostgreSQL with roles."
)
READABLE = (
    "Everything below /memory outside /memory/private is readable by all agents of the store; what is in "
    "/private/... is the agent's own."
)


@click.command()
@click.pass_obj
def init(app: App) -> None:
    """Make the store, and a configuration with everything in comments, where there is none yet."""
    from vfs_core.config import template

    path, fresh = _config_path(app)
    if fresh:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(template())
    kernel = app.kernel
    made = not kernel.has_store
    kernel.writable_store()
    if app.as_json:
        put_json({"store": kernel.location, "store_made": made, "config": str(path), "config_made": fresh,
                  "agent": app.session.principal.agent, "boundary": BOUNDARY})  # fmt: skip
        return
    for what, where, new in (("store", kernel.location, made), ("config", str(path), fresh)):
        put(f"{what:<7} {entry(where)} ({'made' if new else 'was there'})")
    put(f"{'agent':<7} {entry(app.session.principal.agent)} (--agent NAME or AVM_AGENT to be another)")
    put(f"\n{READABLE}\n\n{BOUNDARY}\n")
    put("Next:")
    for line in ('avm write lesson.md --content "Never risk more than 2%"', "avm search risk", "avm import ~/notes",
                 "avm doctor"):  # fmt: skip
        put(f"  {line}")


def _config_path(app: App) -> tuple[Path, bool]:
    """The configuration file that counts, and whether it has to be made."""
    from vfs_core.config import default_config_path, find_config

    named = app.config or os.environ.get("AVM_CONFIG")
    if named:
        path = Path(named).expanduser()
        if path.is_dir():
            raise Exists(f"{path} is a directory; name the file in it: {path / 'config.yaml'}")
        return path, not path.exists()
    found = find_config()
    return (default_config_path(), True) if found is None else (found, False)
