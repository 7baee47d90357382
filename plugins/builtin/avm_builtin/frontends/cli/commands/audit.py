"""`audit`: the journal as a log, its head, and the proof that nothing is missing from it."""

from __future__ import annotations

import re

import click

from avm_builtin.frontends.cli.output import entry, put, put_json, table
from avm_builtin.frontends.cli.params import AgentName, Moment, NotePath
from avm_builtin.frontends.cli.state import App
from vfs_core.errors import Invalid, NotFound
from vfs_core.rendering import local_time
from vfs_core.types import Change

_DAMAGED = 8
_JOURNAL = "journal"
_HEAD = re.compile(r"([0-9]{1,18})[:\s]([0-9a-f]{64})(?:\s\S+)?", re.ASCII)
_LONGEST = 1000


@click.group()
def audit() -> None:
    """Who changed what, and proof that no row was changed or taken away.

    \b
    avm audit log --by codex --since 1d
    avm audit head > head.txt           keep it elsewhere
    avm audit verify --head head.txt    nothing up to then has been cut off since
    """


@audit.command()
@click.option("--by", type=AgentName(), help="Only what this agent did.")
@click.option("--since", type=Moment(), metavar="TIME", help="Only since then: 2h, 2026-03-20.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@click.option(
    "--before", type=click.IntRange(min=1), metavar="ROW", help="Rows below this, for the next page."
)
@click.argument("path", type=NotePath(), required=False)
@click.pass_obj
def log(
    app: App, by: str | None, since: int | None, limit: int, before: int | None, path: str | None
) -> None:
    """List changes of what you may read, newest first, of all or below PATH."""
    rows = app.session.audit(path, agent=by, since=since, before=before, limit=limit)
    if app.as_json:
        put_json([_json(row) for row in rows])
        return
    table(
        ("row", "time", "agent", "door", "change", "path"),
        (
            (str(row.sequence), local_time(row.time_ns), row.agent, row.door, row.operation, row.path)
            for row in rows
        ),
    )


def _json(row: Change) -> dict[str, object]:
    return {
        "sequence": row.sequence,
        "time_ns": row.time_ns,
        "change": row.operation,
        "path": row.path,
        "old_path": row.old_path,
        "version": row.version,
        "size": row.size,
        "agent": row.agent,
        "actor": row.actor,
        "door": row.door,
        "details": None if row.details is None else dict(row.details),
    }


@audit.command()
@click.pass_obj
def head(app: App) -> None:
    """Print where the journal stands: row, hash and store, to be kept elsewhere."""
    store = app.session.store
    if not app.kernel.has_store:
        raise NotFound(f"there is no store at {app.kernel.location} yet")
    found = store.head()
    if app.as_json:
        put_json({"sequence": found.sequence, "chain": found.chain.hex(), "store": store.uuid})
    else:
        put(f"{found.sequence} {found.chain.hex()} {store.uuid}")


@audit.command()
@click.option(
    "--head",
    "kept",
    metavar="FILE|ROW:HASH",
    help="What `avm audit head` printed, or the file that it is in ('-': stdin).",
)
@click.pass_context
def verify(context: click.Context, kept: str | None) -> None:
    """Recompute the hash chain over the whole journal; ends with 8 if it is broken or cut off."""
    app = context.find_object(App)
    assert app is not None
    wanted = None if kept is None else _parse_head(kept)
    if not app.kernel.has_store:
        raise NotFound(f"there is no store at {app.kernel.location} yet")
    store = app.session.store
    problems, said = [], []
    for finding in store.verify():
        if finding.level == "fail":  # whatever it is: what cannot be read proves nothing
            problems.append(finding.message)
        if finding.level == "fail" or finding.subject == _JOURNAL:
            said.append(finding.message)
        if finding.subject == _JOURNAL:
            break
    else:
        problems.append("the journal could not be read to its end, which proves nothing")
        said.append(problems[-1])
    if wanted is not None:
        sequence, chain = wanted
        if store.chain_at(sequence) != chain:
            problems.append(
                f"row {sequence:,} of the kept head is not in this journal: it was cut off or replaced"
            )
            said.append(problems[-1])
        else:
            said.append(f"row {sequence:,} of the kept head is there")
    if app.as_json:
        put_json({"whole": not problems, "said": said})
    else:
        for line in said:
            put(entry(line))
    context.exit(_DAMAGED if problems else 0)


def _parse_head(kept: str) -> tuple[int, bytes]:
    """A head as it was printed, or as ROW:HASH, or the name of a file that says one."""
    found = _HEAD.fullmatch(kept.strip())
    if found is None:
        with click.open_file(kept, encoding="utf-8", errors="replace") as file:
            found = _HEAD.fullmatch(file.read(_LONGEST).strip())
    if found is None:
        raise Invalid("a head is what `avm audit head` prints: a number and a hash")
    return int(found[1]), bytes.fromhex(found[2])
