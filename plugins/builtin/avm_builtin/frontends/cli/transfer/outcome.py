"""What happened to each thing that was brought in or out: said as it happens, summed up at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from avm_builtin.frontends.cli.errors import describe, exit_code
from avm_builtin.frontends.cli.output import note
from avm_builtin.frontends.cli.progress import Progress
from vfs_core.types import JSON

_MOST_LINES = 50
"""Lines about single things; --json has them all."""


@dataclass
class Outcome:
    """Counts, and a line for whatever did not go as asked. `code` is the exit code of the first failure."""

    progress: Progress
    written: int = 0
    unchanged: int = 0
    code: int = 0
    kept: list[str] = field(default_factory=list)
    skipped: list[JSON] = field(default_factory=list)
    renamed: list[JSON] = field(default_factory=list)
    failed: list[JSON] = field(default_factory=list)
    _lines: int = 0

    def differs(self, what: str) -> None:
        """Something else is there, and it was left alone."""
        what = _text(what)
        self.kept.append(what)
        self.code = self.code or 5
        self._say(f"{what}: something else is there; --force replaces it")

    def skip(self, what: str, why: str) -> None:
        """Something is not for us."""
        what = _text(what)
        self.skipped.append({"what": what, "why": why})
        self._say(f"{what}: skipped, {why}")

    def rename(self, old: str, new: str, why: str) -> None:
        """Something got another name."""
        old = _text(old)
        self.renamed.append({"from": old, "to": new, "why": why})
        self._say(f"{old}: renamed to {new}, {why}")

    def fail(self, what: str, error: Exception) -> None:
        """Something could not be done; the rest goes on."""
        what, message = _text(what), _text(describe(error))
        self.failed.append({"what": what, "error": message})
        self.code = self.code or exit_code(error) or 1
        self._say(f"{what}: {message}" if what not in message else message)

    def as_json(self) -> dict[str, JSON]:
        """Everything."""
        return {
            "written": self.written,
            "unchanged": self.unchanged,
            "kept": self.kept,
            "renamed": self.renamed,
            "skipped": self.skipped,
            "failed": self.failed,
        }

    def summary(self, done: str) -> str:
        """One line: `12 notes imported, 3 unchanged, 1 failed`."""
        parts = [f"{self.written:,} {'note' if self.written == 1 else 'notes'} {done}"]
        for word, number in (
            ("unchanged", self.unchanged),
            ("left alone", len(self.kept)),
            ("renamed", len(self.renamed)),
            ("skipped", len(self.skipped)),
            ("failed", len(self.failed)),
        ):
            if number:
                parts.append(f"{number:,} {word}")
        return ", ".join(parts)

    def _say(self, line: str) -> None:
        self._lines += 1
        if self._lines <= _MOST_LINES:
            self.progress.clear()
            note(line)
        elif self._lines == _MOST_LINES + 1:
            note("... and more, which are only counted (--json lists them all)")


def _text(name: str) -> str:
    """A name of the operating system as text: escapes for bytes that are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()
