"""The `script` handler: what a command prints is what is read.

    providers:
      - pattern: "/system/status"
        handler: script
        config: { command: "uptime" }

`command` says which arguments the command gets and `running` runs it; this module reads the settings and says what an
exit status means.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping
from typing import ClassVar, Literal

from avm_handlers.command import Command, find_program
from avm_handlers.running import Ended, run
from vfs_core.config_text import Template
from vfs_core.errors import Invalid, NotFound, PluginError, ReadOnly, TimedOut, TooLarge, VfsError
from vfs_core.handler import BaseHandler, Context
from vfs_core.providers import synthetic_stat
from vfs_core.types import JSON, Kind, Stat

TIMEOUT = 10.0
"""The default of `timeout`, in seconds."""
MAX_BYTES = 8 << 20
"""The default of `max_bytes`."""
STDERR_LINES = 5
STDERR_CHARACTERS = 1000
"""How much of the end of stderr an error shows."""


class ScriptHandler(BaseHandler):
    """Runs a command and shows what it prints.

    Nothing is run to list or to examine a path: only reading runs `command`, and writing runs `write`, if there is
    one, with the data on its stdin. Parameters are single arguments; no shell sees them.
    """

    caching: ClassVar[Literal["all", "agent", "never"]] = "all"

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        super().__init__(config)
        options = self._setting("options", bool, False, "true or false")
        self._command = Command(self.config.get("command"), "command", options=options)
        write = self.config.get("write")
        self._write = None if write is None else Command(write, "write", options=options)
        self._cwd = _directory(self.config.get("cwd", "/"))
        self._environ = _environ(self.config.get("env", {}))
        self._timeout = float(self._setting("timeout", (int, float), TIMEOUT, "a number of seconds over 0"))
        self._max_bytes = self._setting("max_bytes", int, MAX_BYTES, "a number of bytes over 0")
        if not (self._timeout > 0 and self._max_bytes > 0):
            raise Invalid("config.timeout and config.max_bytes of the handler 'script' are over 0")
        self._not_found = self._setting("not_found_status", (list, tuple), (), "a list of exit statuses")
        if not all(type(each) is int and 0 < each < 256 for each in self._not_found):
            raise Invalid(
                "config.not_found_status of the handler 'script' is a list of numbers from 1 to 255"
            )

    @classmethod
    def check(cls, config: Mapping[str, JSON], pattern: str) -> None:
        """Refuses what no instance can be made with."""
        cls(config).close()

    def read(self, path: str, context: Context) -> bytes | None:
        """What the command prints."""
        ended = self._run(path, self._command, "command", context, None)
        if ended.status in self._not_found:
            return None
        self._refuse_failure(path, self._command, ended)
        return ended.stdout

    def write(self, path: str, data: bytes, context: Context) -> None:
        """Give the data to the command `write`."""
        if self._write is None:
            raise ReadOnly(f"{path} is read-only; its rule's config has no command under 'write'")
        ended = self._run(path, self._write, "write", context, bytes(data))
        if ended.status in self._not_found:
            raise NotFound.at(path)
        self._refuse_failure(path, self._write, ended)

    def stat(self, path: str, context: Context) -> Stat:
        """A file of unknown size, given as 0: nothing is run to find out."""
        stat = synthetic_stat(Kind.FILE)
        return stat if self._write is None else stat._replace(mode=0o644)

    # --- running ---------------------------------------------------------------------------------

    def _run(self, path: str, command: Command, key: str, context: Context, data: bytes | None) -> Ended:
        arguments = command.fill(path, context.parameters)
        environ = {
            name: value.fill(context.parameters, os.environ) if isinstance(value, Template) else value
            for name, value in self._environ.items()
        }
        if any("\0" in value for value in environ.values()):
            raise Invalid(f"{path}: a variable of the environment contains no NUL")
        if not os.path.isdir(self._cwd):  # noqa: PTH112
            raise PluginError(f"config.cwd of the handler 'script', {self._cwd}, is not a directory; make it")
        executable = find_program(command.program, key, self._cwd, environ["PATH"])
        left = context.remaining()
        seconds = self._timeout if left is None else min(left, self._timeout)
        try:
            ended = run(
                arguments,
                executable,
                environ=environ,
                cwd=self._cwd,
                data=data,
                seconds=seconds,
                max_bytes=self._max_bytes if data is None else None,
            )
        except (OSError, UnicodeEncodeError) as error:
            raise _not_started(path, command, error) from error
        if ended.stopped == "time":
            raise TimedOut(
                f"{path}: {command.program!r} was not done after {seconds:.3g} s and was stopped; "
                f"its config.timeout is {self._timeout:g} s"
            )
        if ended.stopped == "output":
            raise TooLarge(
                f"{path}: {command.program!r} printed over {self._max_bytes:,} bytes (config.max_bytes) and was stopped"
            )
        return ended

    @staticmethod
    def _refuse_failure(path: str, command: Command, ended: Ended) -> None:
        if ended.status == 0:
            return
        how = (
            f"ended with status {ended.status}"
            if ended.status > 0
            else f"was ended by {_signal(-ended.status)}"
        )
        said = last_lines(ended.stderr)
        raise VfsError(f"{path}: {command.program!r} {how}" + (f": {said}" if said else "; it said nothing"))

    def _setting(self, key: str, kinds: type | tuple[type, ...], default: JSON, right: str) -> JSON:
        value = self.config.get(key, default)
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise Invalid(f"config.{key} of the handler 'script' is {right}, not {value!r}")
        return value


def last_lines(stderr: bytes) -> str:
    """The end of what a command said, fit for a terminal: control characters are escaped."""
    lines = [line for line in stderr.decode("utf-8", "backslashreplace").splitlines() if line.strip()]
    text = "\n".join(lines[-STDERR_LINES:])[-STDERR_CHARACTERS:]
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def _not_started(path: str, command: Command, error: OSError | UnicodeEncodeError) -> VfsError:
    """What to say when the system does not start a program."""
    if isinstance(error, UnicodeEncodeError):
        return Invalid(f"{path}: an argument of a command is valid UTF-8")
    if error.errno == errno.E2BIG:
        return TooLarge(f"{path}: the arguments of {command.program!r} are more than the system takes")
    if error.errno == errno.ENOEXEC:
        return PluginError(
            f"{path}: {command.program!r} is no program; let it begin with #! and an interpreter"
        )
    return PluginError(
        f"{path}: {command.program!r} cannot be started: {os.strerror(error.errno or errno.EIO)}"
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _directory(value: JSON) -> str:
    if not isinstance(value, str) or isinstance(value, Template):
        raise Invalid(
            f"config.cwd of the handler 'script' is one directory and names no parameters: {value!r}"
        )
    expanded = os.path.expanduser(value)  # noqa: PTH111
    if not expanded.startswith("/") or "\0" in expanded:
        raise Invalid(f"config.cwd of the handler 'script' starts with '/' or '~', unlike {value!r}")
    return expanded


def _environ(value: JSON) -> dict[str, str]:
    """All that a command inherits, and what the configuration says."""
    if not isinstance(value, Mapping) or not all(_is_variable(*each) for each in value.items()):
        raise Invalid("config.env of the handler 'script' maps names of variables to texts")
    inherited = {"PATH": os.defpath, "HOME": os.path.expanduser("~"), "LANG": "C.UTF-8"}  # noqa: PTH111
    inherited.update({name: os.environ[name] for name in inherited if os.environ.get(name)})
    return {**inherited, **value}


def _is_variable(name: object, value: object) -> bool:
    return isinstance(name, str) and bool(name) and not set(name) & {"=", "\0"} and isinstance(value, str)
