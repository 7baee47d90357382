"""What a tool is: a name, what a model reads of it, the schema of its arguments, and a call that gives text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from vfs_core.config_schema import Checker
from vfs_core.errors import Invalid, Problem
from vfs_core.types import JSON

if TYPE_CHECKING:
    from vfs_core.session import Session

Arguments: TypeAlias = "Mapping[str, Any]"
"""Checked against the schema, without those that were not given."""

CORE, FULL = "core", "full"
PROFILES = (CORE, FULL)
"""Which tools there are: the few that everybody needs, or all."""


@dataclass(frozen=True)
class Tool:
    """One tool. `parameters` are JSON schemas by name; those in `required` must be given.

    `reads` says that it changes nothing, `destroys` that it may take something away, `idempotent` that doing it twice
    is doing it once.
    """

    name: str
    title: str
    description: str
    call: Callable[[Session, Arguments], str]
    parameters: Mapping[str, JSON] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    reads: bool = True
    destroys: bool = False
    idempotent: bool = False
    profile: str = CORE

    @property
    def schema(self) -> dict[str, JSON]:
        """The JSON schema of all arguments. Unknown ones are refused."""
        schema: dict[str, JSON] = {"type": "object", "properties": dict(self.parameters)}
        if self.required:
            schema["required"] = list(self.required)
        schema["additionalProperties"] = False
        return schema

    @cached_property
    def _checker(self) -> Checker:
        return Checker(self.schema, f"the tool {self.name!r}")

    def run(self, session: Session, arguments: Mapping[str, JSON]) -> str:
        """What the tool answers. Raises Invalid, naming every argument that is wrong, and what the call raises."""
        problems = self._checker.check(dict(arguments), _problem)
        if problems:
            wrong = "; ".join(f"{p.key}: {p.what}" + (f" ({p.cure})" if p.cure else "") for p in problems)
            raise Invalid(f"{self.name} cannot be called like this: {wrong}")
        return self.call(session, arguments)


def _problem(keys: list[str | int], what: str, cure: str) -> Problem:
    return Problem("", ".".join(map(str, keys)) or "arguments", what, cure)
