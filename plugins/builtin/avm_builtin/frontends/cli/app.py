"""`avm`: parse, run one command, turn what went wrong into a line and an exit code."""

from __future__ import annotations

import io
import os
import sys

import click

from avm_builtin.frontends.cli.errors import EXIT_CODES, report
from avm_builtin.frontends.cli.group import AvmGroup, global_options
from avm_builtin.frontends.cli.params import utf8_arguments
from avm_builtin.frontends.cli.state import App

COMPLETE_VARIABLE = "_AVM_COMPLETE"
PROGRAM = "avm"

_HELP = """One local memory for all your agents.

A relative PATH is below /memory: lesson.md is /memory/lesson.md. The options here may also stand
behind the command; `avm COMMAND --help` says more on each.
"""
_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<3} {meaning}" for code, meaning in EXIT_CODES.items())


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib import metadata

        sys.stdout.write(f"avm {metadata.version('avm')}\n")
        ctx.exit()


def _help_instead(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        sys.stderr.write(ctx.get_help() + "\n")
        ctx.exit(2)


root = AvmGroup(
    name=PROGRAM,
    help=_HELP,
    epilog=_EPILOG,
    params=[
        *global_options(),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version.",
        ),
    ],
    invoke_without_command=True,
    callback=click.pass_context(_help_instead),
    context_settings={"help_option_names": ["-h", "--help"]},
)
"""The command line as click knows it."""


def main(argv: list[str]) -> int:
    """Run the command line and return its exit code."""
    app = App()
    try:
        _prepare_streams()
        code = _run(app, utf8_arguments(argv))
    except BaseException as error:  # noqa: BLE001 - the outermost place: whatever it is becomes an exit code
        code = report(error)
    finally:
        app.close()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = report(error)
    return code


def _run(app: App, argv: list[str]) -> int:
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(root, {"obj": app}, PROGRAM, COMPLETE_VARIABLE, instruction)
    with root.make_context(PROGRAM, argv, obj=app) as context:
        root.invoke(context)
    return 0


def _prepare_streams() -> None:
    """Names and contents are UTF-8 in AVM, whatever the locale says; a closed stream takes what it is given."""
    for name, errors in (("stdout", "surrogateescape"), ("stderr", "backslashreplace")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)
