"""What a command is run with: the global options, and the kernel and session opened for them when needed.

Commands, those of plugins included, get it as `@click.pass_obj` and need `app.session` and `app.as_json`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from vfs_core.errors import ConfigError

if TYPE_CHECKING:
    from vfs_core.config import Config
    from vfs_core.kernel import Kernel
    from vfs_core.plugins import Registry
    from vfs_core.session import Session

DOOR = "cli"


@dataclass
class App:
    """One run of the command line.

    `db`, `config` and `agent` are as given (None: not given); `as_json` asks for JSON on standard output.
    """

    db: str | None = None
    config: str | None = None
    agent: str | None = None
    as_json: bool = False
    _kernel: Kernel | None = field(default=None, repr=False)

    @property
    def kernel(self) -> Kernel:
        """The kernel. Raises ConfigError."""
        if self._kernel is None:
            from vfs_core.kernel import Kernel

            self._kernel = Kernel(self.config, self.db)
        return self._kernel

    @cached_property
    def session(self) -> Session:
        """The session of the agent that was asked for. Raises ConfigError, Denied, Invalid."""
        return self.kernel.session(self.agent, door=DOOR)

    @cached_property
    def registry(self) -> Registry:
        """What plugins supply, without a kernel; a configuration that cannot be read adds nothing."""
        from vfs_core.plugins import Registry

        config = self.readable_config()
        if config is None:
            return Registry()
        return Registry(config.plugins.load, config.plugins.disable, config.plugins.override)

    @property
    def is_configured(self) -> bool:
        """Whether there is a configuration file (or one was named, whether it is there or not)."""
        from vfs_core.config_places import find_config

        try:
            return find_config(self.config) is not None
        except ConfigError:
            return True

    def readable_config(self) -> Config | None:
        """The configuration, or None if there is none or it has errors (which the kernel would raise)."""
        from vfs_core.config import load_config
        from vfs_core.config_places import find_config

        try:
            path = find_config(self.config)
            return None if path is None else load_config(path)
        except ConfigError:
            return None

    def close(self) -> None:
        """Release the store."""
        if self._kernel is not None:
            self._kernel.close()
