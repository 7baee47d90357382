"""The `plugin` handler: any importable object with a `read` serves the paths.

    providers:
      - pattern: "/live/indicators/*"
        handler: plugin
        config: { plugin: "my_plugins.talib" }

A module with a function `read`, a subclass of BaseHandler, another class with `read`, or an object that has one. How it
is found and called is in `plugin_object`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from avm_handlers.plugin_object import described, find, methods_of
from vfs_core.config_text import Template
from vfs_core.errors import Invalid, PluginError, VfsError
from vfs_core.handler import BaseHandler, Capabilities, Content, Context, Listed
from vfs_core.types import JSON, Stat

Result = TypeVar("Result")


class PluginHandler(BaseHandler):
    """Serves what the importable object `plugin` reads, and writes, lists and so on where the object can."""

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        super().__init__(config)
        self._name, options = _named(self.config)
        self._object, self._is_ours = self._contained("cannot be used", lambda: find(self._name, options))
        self._methods = self._contained("cannot be used", lambda: methods_of(self._object))
        # The instance offers what its plugin does; the class, asked by itself, what a plugin may.
        self.capabilities = self._offered  # type: ignore[method-assign]

    @classmethod
    def check(cls, config: Mapping[str, JSON], pattern: str) -> None:
        """Refuses what names no object. Nothing is imported to find out."""
        _named(config)

    def read(self, path: str, context: Context) -> Content:
        """What the plugin's `read` returns."""
        content: Content = self._call("read", context, path)
        return content

    def write(self, path: str, data: bytes, context: Context) -> None:
        """The plugin's `write`, if it has one; as with all that follow."""
        if "write" not in self._methods:
            super().write(path, data, context)
        self._call("write", context, path, data)

    def append(self, path: str, data: bytes, context: Context) -> None:
        """Add to the end."""
        if "append" not in self._methods:
            super().append(path, data, context)
        self._call("append", context, path, data)

    def list(self, path: str, context: Context) -> Iterable[Listed]:
        """The names that the plugin lists."""
        if "list" not in self._methods:
            return super().list(path, context)
        method = self._methods["list"]
        names: Iterable[Listed] = self._contained(
            f"failed in list({path!r})", lambda: [*method(context, path)]
        )
        return names

    def stat(self, path: str, context: Context) -> Stat | None:
        """What the plugin knows of the path."""
        if "stat" not in self._methods:
            return super().stat(path, context)
        found: Stat | None = self._call("stat", context, path)
        return found

    def delete(self, path: str, context: Context) -> None:
        """Remove the path."""
        if "delete" not in self._methods:
            super().delete(path, context)
        self._call("delete", context, path)

    def rename(self, old: str, new: str, context: Context) -> None:
        """Move within what the plugin serves."""
        if "rename" not in self._methods:
            super().rename(old, new, context)
        self._call("rename", context, old, new)

    def close(self) -> None:
        """Let go of what was made for this rule; a module or an object of a module lives on."""
        close = getattr(self._object, "close", None) if self._is_ours else None
        if callable(close):
            self._contained("failed in close()", close)

    def _offered(self) -> Capabilities:
        names = ("write", "append", "list", "stat", "delete", "rename")
        return Capabilities(**{name: name in self._methods for name in names})

    def _call(self, name: str, context: Context, path: str, *arguments: object) -> Any:
        """What the plugin's method returns; the kernel looks at it, as with every handler."""
        method = self._methods[name]
        return self._contained(f"failed in {name}({path!r})", lambda: method(context, path, *arguments))

    def _contained(self, what: str, action: Callable[[], Result]) -> Result:
        """What the action returns; whatever goes wrong in a plugin, an exit of the process too, names it."""
        try:
            return action()
        except VfsError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(f"the plugin {self._name!r} {what}: {described(error)}") from error


def _named(config: Mapping[str, JSON]) -> tuple[str, Mapping[str, JSON] | None]:
    """The name of the plugin, and what it is made with. Raises Invalid."""
    name, options = config.get("plugin"), config.get("config")
    if not isinstance(name, str) or not name:
        raise Invalid(
            "the handler 'plugin' needs config.plugin: a module, as 'my_plugins.talib', or what is in one, "
            "as 'my_plugins.talib:Indicators'"
        )
    if isinstance(name, Template):
        raise Invalid(
            f"config.plugin of the handler 'plugin' is one object and names no parameters: {str(name)!r}"
        )
    if options is not None and not isinstance(options, Mapping):
        raise Invalid(f"config.config of the handler 'plugin' is a mapping, not {options!r}")
    return name, options
