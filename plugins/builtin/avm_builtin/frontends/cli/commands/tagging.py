"""`tag`: the tags of a note, or of everything."""

from __future__ import annotations

import click

from avm_builtin.frontends.cli.output import entry, put, put_json
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.state import App
from vfs_core.meta import tags_of
from vfs_core.storage import Operation


@click.command()
@click.argument("path", type=NotePath(), required=False)
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("--remove", is_flag=True, help="Take the TAGs away instead of adding them.")
@click.pass_obj
def tag(app: App, path: str | None, tags: tuple[str, ...], remove: bool) -> None:
    """Print the tags of the note at PATH, after adding each TAG to them.

    Without a PATH: all tags that you can see, and how many notes carry each.

    \b
    avm tag lesson.md risk trading     adds two tags
    avm tag lesson.md --remove risk    takes one away
    """
    if path is None:
        counts = app.session.tag_counts()
        if app.as_json:
            put_json(counts)
        for name, number in counts.items() if not app.as_json else ():
            put(f"{entry(name)}\t{number}")
        return
    if remove and not tags:
        raise click.UsageError("--remove takes the tags to remove: avm tag PATH --remove TAG...")
    if tags:
        held = app.session.tag(path, add=() if remove else tags, remove=tags if remove else ())
    else:
        held = tags_of(app.session.require_stored(path, Operation.READ).meta_json)
    if app.as_json:
        put_json({"path": path, "tags": held})
        return
    for name in held:
        put(entry(name))
