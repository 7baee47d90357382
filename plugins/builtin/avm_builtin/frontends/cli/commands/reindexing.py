"""`reindex`: everything embedded and indexed, now and with a progress bar; with `--all` from the beginning."""

from __future__ import annotations

import click

from avm_builtin.frontends.cli.output import counted, put, put_json
from avm_builtin.frontends.cli.progress import Progress
from avm_builtin.frontends.cli.state import App

_PATIENCE = 3600.0


@click.command()
@click.option("--all", "anew", is_flag=True, help="Throw both indexes away first, and every vector.")
@click.pass_obj
def reindex(app: App, anew: bool) -> None:
    """Bring the indexes up to the store, and embed what waits for it.

    Searches do the same a little at a time. It can be interrupted: what is done stays done.
    """
    kernel = app.kernel
    if not kernel.has_store:
        put_json({"indexed": 0, "embedded": 0}) if app.as_json else put("there is no store yet")
        return
    with Progress("notes") as progress:
        for runner in (*kernel.derived(), *kernel.followers()):
            if anew:
                runner.rebuild_anew(progress.reach)
            runner.catch_up(_PATIENCE, progress.reach)
    embedded = 0
    with Progress("parts embedded") as progress:
        embedded = app.session.embed(progress.reach)
    documents = kernel.search_backend().documents()
    if app.as_json:
        put_json({"indexed": documents, "embedded": embedded})
        return
    put(f"{counted(documents, 'note')} indexed by words")
    semantic = kernel.semantic()
    if semantic is None:
        put(f"none embedded: {kernel.embedder().reason}")
    else:
        put(f"{counted(embedded, 'part')} of notes embedded now")
