"""`remember`, `recall` and `synthesize`: an agent's memory from the command line."""

from __future__ import annotations

import click

from avm_builtin.frontends.cli.commands.searching import note_lag
from avm_builtin.frontends.cli.errors import NO_HITS
from avm_builtin.frontends.cli.output import note, printable, put, put_json
from avm_builtin.frontends.cli.params import Moment, NotePath, content
from avm_builtin.frontends.cli.progress import Progress
from avm_builtin.frontends.cli.state import App
from avm_builtin.memory.agent import AgentMemory
from avm_builtin.memory.recalling import STRATEGIES, Strategy
from avm_builtin.memory.suffix import recalled_json


@click.command()
@click.argument("words", nargs=-1, metavar="[TEXT]...")
@click.option("--title", metavar="TEXT", help="What it is called; otherwise its first words.")
@click.option("--importance", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="From 0 to 1; recall prefers what matters.")  # fmt: skip
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Give it this tag. Repeatable.")
@click.option("--namespace", metavar="NAME",
              help="Where: 'shared', a directory in it, or a path; otherwise your private space.")  # fmt: skip
@click.option("--source", metavar="TEXT", help="Where it comes from.")
@click.option("--derived-from", type=NotePath(), multiple=True, metavar="PATH",
              help="A note that it was made from. Repeatable.")  # fmt: skip
@click.option("--supersedes", type=NotePath(), metavar="PATH", help="The note that it replaces.")
@click.option("--keep-secrets", is_flag=True, help="Store also what looks like a key or a password.")
@click.pass_obj
def remember(
    app: App,
    words: tuple[str, ...],
    title: str | None,
    importance: float,
    tags: tuple[str, ...],
    namespace: str | None,
    source: str | None,
    derived_from: tuple[str, ...],
    supersedes: str | None,
    keep_secrets: bool,
) -> None:
    """Store TEXT (without it: standard input) as a note, and say what it resembles.

    \b
    avm remember "NVDA RSI at 72, overbought" --importance 0.9 --tag market
    avm remember --namespace shared < findings.md
    """
    text = " ".join(words) if words else content(None, "avm remember").decode("utf-8", "replace")
    done = AgentMemory(app.session).remember(
        text, title, importance, tags, namespace, source=source, derived_from=derived_from,
        supersedes=supersedes, keep_secrets=keep_secrets,
    )  # fmt: skip
    if app.as_json:
        put_json(
            {
                "path": done.path,
                "stored": done.stored,
                "version": done.version,
                "similar": [
                    {"path": each.path, "similarity": round(each.similarity, 3)} for each in done.similar
                ],
                "redacted": list(done.redacted),
            }
        )
        return
    put(printable(done.path))
    if not done.stored:
        note("the same text was there already")
    for each in done.similar:
        note(f"resembles {printable(each.path)} ({each.similarity:.0%})")
    if done.redacted:
        note(f"taken out: {', '.join(done.redacted)}")


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="QUERY...")
@click.option("--max-tokens", type=click.IntRange(1), default=4000, show_default=True, metavar="N",
              help="At most so many tokens (o200k).")  # fmt: skip
@click.option("--strategy", type=click.Choice(STRATEGIES), default="balanced", show_default=True,
              help="What counts besides relevance.")  # fmt: skip
@click.option("--since", metavar="WHEN", help="Only what happened since: 7d, 2026-03-20.")
@click.option("--until", metavar="WHEN", help="Only what happened until.")
@click.option(
    "--in", "scope", type=NotePath(), default=None, metavar="DIR", help="Only below this directory."
)
@click.option("--as-of", type=Moment(end=True), metavar="TIME",
              help="What was known then, by words: 2026-03-20, 2h.")  # fmt: skip
@click.pass_context
def recall(
    context: click.Context,
    words: tuple[str, ...],
    max_tokens: int,
    strategy: Strategy,
    since: str | None,
    until: str | None,
    scope: str | None,
    as_of: int | None,
) -> None:
    """Print what you may see about QUERY, best first, within a budget of tokens.

    Each note comes with its path, a score, who wrote it and when; whole where it fits, else the part that matches.
    The exit code is 6 if nothing is found.
    """
    app = context.find_object(App)
    assert app is not None
    with Progress("notes") as progress:
        found = AgentMemory(app.session).recollect(
            " ".join(words),
            max_tokens,
            strategy,
            time_range=(since, until),
            scope=scope,
            as_of=as_of,
            step=progress.add,
        )
    note_lag(found.behind, found.embedded)
    if app.as_json:
        put_json(recalled_json(found))
    else:
        put(found.text.rstrip("\n"))
    if not found.matches:
        context.exit(NO_HITS)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="TOPIC...")
@click.option("--max-tokens", type=click.IntRange(1), default=4000, show_default=True, metavar="N",
              help="At most so many tokens (o200k).")  # fmt: skip
@click.pass_obj
def synthesize(app: App, words: tuple[str, ...], max_tokens: int) -> None:
    """Print one document about TOPIC: what the notes that you may see say about it, with its sources."""
    text = AgentMemory(app.session).synthesize(" ".join(words), max_tokens)
    if app.as_json:
        put_json({"text": text})
    else:
        put(text.rstrip("\n"))
