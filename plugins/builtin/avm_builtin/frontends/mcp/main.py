"""`avm-mcp`: the server, on standard input and output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from avm_builtin.frontends.mcp.tool import CORE, PROFILES
from vfs_core.errors import VfsError

_MISSING = "the MCP server needs mcp, which is not installed; type: pip install 'avm[mcp]'"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-a", "--agent", "--user", "agent", metavar="NAME", help="Who to be (AVM_AGENT, else the login)."
)
@click.option("--db", type=click.Path(path_type=Path), metavar="FILE", help="The store.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The configuration.")
@click.option(
    "--profile", type=click.Choice(PROFILES), default=CORE, show_default=True, help="Which tools to offer."
)
def command(agent: str | None, db: Path | None, config: Path | None, profile: str) -> None:
    """Serve the memory of one agent to an MCP client, over standard input and output."""
    from vfs_core.kernel import Kernel

    try:
        with Kernel(config, db, lasting=True) as kernel:
            serve(kernel.session(agent, "mcp"), profile)
    except VfsError as error:
        raise click.ClickException(str(error)) from error


def serve(session: Any, profile: str) -> None:
    """Serve a session until the client goes."""
    try:
        import anyio
        from mcp.server.stdio import stdio_server

        from avm_builtin.frontends.mcp.app import chosen, make_app
    except ImportError as error:
        raise click.ClickException(f"{_MISSING} ({error})") from error
    from avm_builtin.frontends.mcp.tools import TOOLS

    app = make_app(session, chosen(TOOLS, profile))

    async def run() -> None:
        async with stdio_server() as (read, write):
            await app.run(read, write, app.create_initialization_options())

    anyio.run(run)


def main() -> int:
    """The console script."""
    if sys.stdin.isatty():
        click.echo("avm-mcp speaks MCP on standard input; a client starts it (end it with Ctrl-D)", err=True)
    command(prog_name="avm-mcp")
    return 0
