"""What a plugin registers: small frozen records that name a class and import it on first use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from vfs_core.errors import PluginError
from vfs_core.types import JSON


@dataclass(frozen=True)
class Spec:
    """One thing that a plugin supplies.

    `name` is what configurations and commands call it. `target` is the class itself or
    `"package.module:Class"`, imported when it is first used. `config_schema` is the JSON schema of
    its `config`, or where it lies: `"package:file.json"`, read when it is first needed. `requires` is
    what to type where an import of it fails (`pip install 'avm[http]'`). `summary` is one line for
    `avm plugins`.
    """

    name: str
    target: type | str
    summary: str = ""
    config_schema: Mapping[str, JSON] | str | None = None
    requires: str = ""

    def schema(self) -> Mapping[str, JSON] | None:
        """The JSON schema of its `config`, or None if anything goes. Raises PluginError if it cannot be read."""
        if not isinstance(self.config_schema, str):
            return self.config_schema
        from importlib import resources  # 4 ms

        package, _, file = self.config_schema.partition(":")
        try:
            text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
            schema: Mapping[str, JSON] = json.loads(text)
        except (ImportError, OSError, ValueError) as error:
            raise PluginError(
                f"the schema of {self.name!r}, {self.config_schema}, cannot be read: {error}"
            ) from error
        return schema


@dataclass(frozen=True)
class HandlerSpec(Spec):
    """A handler: serves the paths of a pattern (`vfs_core.handler.BaseHandler`)."""


@dataclass(frozen=True)
class SuffixSpec(Spec):
    """A virtual-node suffix (`vfs_core.suffix.BaseSuffix`)."""


@dataclass(frozen=True)
class StoreSpec(Spec):
    """A storage engine: `target` is a class with `open(context: StoreContext) -> Store`."""


@dataclass(frozen=True)
class SearchSpec(Spec):
    """A search backend: `target` makes a `vfs_core.search.SearchBackend` of a `SideContext`."""


@dataclass(frozen=True)
class EmbedderSpec(Spec):
    """An embedding model (`vfs_core.embedding.Embedder`)."""


@dataclass(frozen=True)
class VectorSpec(Spec):
    """A way to find the nearest vectors (`vfs_core.vectors.VectorBackend`)."""


@dataclass(frozen=True)
class SummariserSpec(Spec):
    """What makes summaries (`vfs_core.summarising.Summariser`)."""


@dataclass(frozen=True)
class DiscoverySpec(Spec):
    """A discovery strategy (`vfs_core.discovery.Discovery`)."""


@dataclass(frozen=True)
class FollowerSpec(Spec):
    """A follower of the journal (`vfs_core.follower.Follower`), made with a `vfs_core.reactor.FollowerContext`.

    `at_close` says whether a process that has changed something lets it take that in before it ends. Otherwise
    it works when somebody reads what it makes (`Kernel.catch_up`).
    """

    at_close: bool = True


@dataclass(frozen=True)
class CommandSpec:
    """A CLI command: `target` is a `click.Command` or `"package.module:command"`.

    `summary` is its line in `avm --help` and `section` the heading that it stands under, so that
    the help imports no command.
    """

    name: str
    target: object
    summary: str = ""
    section: str = "Plugins"
    requires: str = ""
