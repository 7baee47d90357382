"""`rm`: removes notes and directories."""

from __future__ import annotations

import click

from avm_builtin.frontends.cli.errors import describe, exit_code
from avm_builtin.frontends.cli.output import counted, note, put_json
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.state import App
from vfs_core.errors import IsADirectory, NotFound, VfsError


@click.command()
@click.option("-r", "--recursive", is_flag=True, help="Directories, with all that is in them.")
@click.option("-f", "--force", is_flag=True, help="Be content if there is nothing to remove.")
@click.argument("paths", type=NotePath(), nargs=-1, required=True, metavar="PATH...")
@click.pass_context
def rm(context: click.Context, recursive: bool, force: bool, paths: tuple[str, ...]) -> None:
    """Remove the note at each PATH."""
    app = context.find_object(App)
    assert app is not None
    removed, code = 0, 0
    for path in paths:
        try:
            if not recursive and app.session.stat(path).is_directory:
                provided = app.session.is_provided(app.session.absolute(path))
                how = "once it is empty, since a handler serves it" if provided else "with all that is in it"
                raise IsADirectory(f"{path} is a directory; rm -r removes it {how}")
            removed += app.session.delete(path, recursive=recursive)
        except VfsError as error:
            if not (force and isinstance(error, NotFound)):
                note(f"avm: {describe(error)}")
                code = code or exit_code(error)
    if app.as_json:
        put_json({"removed": removed})
    elif recursive and removed:
        note(f"removed {counted(removed, 'name')}")
    context.exit(code)
