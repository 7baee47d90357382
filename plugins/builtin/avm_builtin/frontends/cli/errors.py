"""Exit codes, and errors as lines on standard error: never a traceback, unless AVM_DEBUG=1 asks for it."""

from __future__ import annotations

import errno
import os
import sys

import click

from avm_builtin.frontends.cli.output import note, printable
from vfs_core import errors

EXIT_CODES = {
    0: "done",
    1: "another error",
    2: "wrong usage",
    3: "not found",
    4: "denied",
    5: "a conflict, or the name is taken",
    6: "nothing was found",
    7: "the configuration or a plugin",
    8: "the store cannot be used: foreign, damaged, newer, busy",
    9: "read-only, no space or over a quota",
    130: "interrupted",
}
"""What the exit codes mean; docs/cli.md has the same table."""

NO_HITS = 6
_INTERRUPTED = 130
_BROKEN_PIPE = 141
"""What a shell reports of a process that a closed pipe has ended."""

_BY_CLASS: dict[type[BaseException], int] = {
    errors.VfsError: 1,
    errors.Invalid: 2,
    errors.NotFound: 3,
    errors.Denied: 4,
    errors.Exists: 5,
    errors.NotEmpty: 5,
    errors.Conflict: 5,
    errors.ConfigError: 7,
    errors.PluginError: 7,
    errors.StoreError: 8,
    errors.ReadOnly: 9,
    errors.NoSpace: 9,
    errors.QuotaExceeded: 9,
}
_BY_ERRNO = {
    errno.ENOENT: 3,
    errno.EACCES: 4,
    errno.EPERM: 4,
    errno.EEXIST: 5,
    errno.EROFS: 9,
    errno.ENOSPC: 9,
    errno.EDQUOT: 9,
}


def exit_code(error: BaseException) -> int:
    """The exit code for an error."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        return 2 if isinstance(error, click.UsageError) else error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return _INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return _BROKEN_PIPE
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0, 1)
    return next((_BY_CLASS[each] for each in type(error).__mro__ if each in _BY_CLASS), 1)


def report(error: BaseException) -> int:
    """Say what went wrong and return the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    code = exit_code(error)
    if isinstance(error, click.exceptions.Exit):
        return code
    if isinstance(error, BrokenPipeError):
        _abandon_output()
        return code
    if os.environ.get("AVM_DEBUG") == "1":
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)
        return code
    note(f"avm: {describe(error)}")
    if isinstance(error, OSError):
        _abandon_output()
    return code


def describe(error: BaseException) -> str:
    """An error in words, with what to type if it is a matter of usage."""
    if isinstance(error, click.ClickException):
        return _describe_usage(error)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted"
    if isinstance(error, errors.ConfigError):
        problems = "\n".join(f"  {printable(str(each))}" for each in error.problems)
        return f"the configuration cannot be used:\n{problems}"
    if isinstance(error, errors.VfsError):
        return printable(str(error))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return f"{type(error).__name__}: {error} (AVM_DEBUG=1 shows where)"


def _describe_usage(error: click.ClickException) -> str:
    message = error.format_message()
    if message.startswith("Usage: "):
        return f"a command is missing.\n{message}"  # click's NoArgsIsHelpError: the message is the help
    context = getattr(error, "ctx", None)
    if isinstance(error, click.NoSuchOption):
        message += " Before words that begin with '-', put '--'."
    command = context.command_path if context is not None else "avm"
    return f"{message}\n     {command} --help shows how it is used." if context is not None else message


def _abandon_output() -> None:
    """Let what is still buffered go nowhere, so that Python does not fail on it at its end."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the reader has gone, the disk behind it is full
            os.dup2(sink, stream.fileno())
    os.close(sink)
