"""`digest`: what happened lately, within a budget of tokens."""

from __future__ import annotations

import click

from avm_builtin.frontends.cli.output import note, printable, put, put_json
from avm_builtin.frontends.cli.params import Moment
from avm_builtin.frontends.cli.state import App
from avm_builtin.memory.agent import AgentMemory
from vfs_core.types import JSON, as_datetime


@click.command()
@click.option("--since", type=Moment(), default="1d", show_default=True, metavar="TIME",
              help="From then until now: 12h, 7d, 2026-03-20.")  # fmt: skip
@click.option("--max-tokens", type=click.IntRange(1), default=2000, show_default=True, metavar="N",
              help="At most so many tokens (o200k).")  # fmt: skip
@click.option("--save", is_flag=True, help="Keep it too, in /private/digests, and say where.")
@click.pass_obj
def digest(app: App, since: int, max_tokens: int, save: bool) -> None:
    """Print what happened lately, of what you may read: what was written, by space and tag, with what it begins with;
    what others shared with you, what you linked, and what was consolidated.

    \b
    avm digest
    avm digest --since 7d --max-tokens 500 --save
    """
    memory = AgentMemory(app.session)
    made = memory.digest(since=since, max_tokens=max_tokens)
    saved = memory.save_digest(made) if save else None
    if app.as_json:
        put_json(
            {
                "since": as_datetime(made.since_ns).isoformat(),
                "until": as_datetime(made.until_ns).isoformat(),
                "text": made.text,
                "written": made.written,
                "new": made.new,
                "tags": made.tags,
                "notes": [_timed(each._asdict()) for each in made.notes],
                "shared": [_timed(each._asdict()) for each in made.shared],
                "links": [each._asdict() for each in made.links],
                "runs": made.runs,
                "saved": saved,
            }
        )
    else:
        put(made.text.rstrip("\n"))
    if saved is not None:
        note(f"kept in {printable(saved)}")


def _timed(given: dict[str, JSON]) -> dict[str, JSON]:
    return {**given, "time": as_datetime(given.pop("time_ns")).isoformat()}
