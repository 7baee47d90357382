"""The `http` handler: what a web service answers, as files.

    providers:
      - pattern: "/live/prices/{symbol}"
        handler: http
        config:
          url: "https://api.example.com/prices/${symbol}"
          headers: { Authorization: "Bearer ${API_KEY}" }
        ttl: 60

httpx and JMESPath are imported when the first path of a rule is asked for, not for listing what lies around it.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from avm_handlers.http_answers import failure, transformed
from avm_handlers.http_remembered import Remembered
from vfs_core.errors import MissingExtra, NotFound, ReadOnly
from vfs_core.handler import BaseHandler, Context
from vfs_core.types import JSON

if TYPE_CHECKING:
    from avm_handlers.http_settings import Operation, Settings

_NOTHING = (404, 410)


class HttpHandler(BaseHandler):
    """Reads a path from a web service: GET of the rule's `url`, in which `${name}` is a part of the path.

    With `transform` (JMESPath) only a part of a JSON answer is shown. Writing and deleting work where the rule has
    `write` and `delete`. Nothing is listed. What the service says is not there is not found.
    """

    caching: ClassVar[Literal["all", "agent", "never"]] = "all"

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        super().__init__(config)
        self._settings = _settings(self.config)
        from avm_handlers.http_exchange import Exchange

        self._exchange = Exchange(self._settings)
        self._remembered = Remembered()
        _all.add(self)

    @classmethod
    def check(cls, config: Mapping[str, JSON], pattern: str) -> None:
        """Refuses settings that can never work."""
        _settings(config)

    def read(self, path: str, context: Context) -> bytes | None:
        """The answer to GET, transformed; None where the service has nothing there."""
        target = self._settings.read.target(context.parameters)
        known = self._remembered.get(target)
        answer = self._exchange.ask(path, target, {} if known is None else known.ask, self._seconds(context))
        if answer.status == 304 and known is not None and not answer.redirected:
            return self._shown(path, answer.host, known.body)
        if answer.status in _NOTHING:
            self._remembered.forget(target)
            return None
        if not 200 <= answer.status < 300:
            raise failure(path, answer.host, answer.status, answer.headers, writing=False)
        if answer.redirected:
            self._remembered.forget(target)  # its validators are those of another URL
        else:
            self._remembered.put(target, answer.headers, answer.body)
        return self._shown(path, answer.host, answer.body)

    def write(self, path: str, data: bytes, context: Context) -> None:
        """Send the content by the rule's `write`."""
        self._tell(path, "write", self._settings.write, data, context)

    def delete(self, path: str, context: Context) -> None:
        """Ask the service to remove it by the rule's `delete`."""
        self._tell(path, "delete", self._settings.delete, b"", context)

    def close(self) -> None:
        """Close all connections."""
        self._exchange.close()
        self._remembered.clear()

    def _tell(self, path: str, key: str, operation: Operation | None, data: bytes, context: Context) -> None:
        if operation is None:
            raise ReadOnly(f"{path}: this path is read-only; its rule's config has no `{key}`")
        answer = self._exchange.tell(
            path, operation.method, operation.target(context.parameters), data, self._seconds(context)
        )
        self._remembered.clear()
        if answer.status in _NOTHING:
            raise NotFound.at(path)
        # 303 See Other: it is done, and the answer says where to look.
        if not (200 <= answer.status < 300 or answer.status == 303):
            raise failure(path, answer.host, answer.status, answer.headers, writing=True)

    def _leave_to_parent(self) -> None:
        self._exchange.leave_to_parent()
        self._remembered = Remembered()

    def _seconds(self, context: Context) -> float:
        left = context.remaining()
        return self._settings.timeout if left is None else min(left, self._settings.timeout)

    def _shown(self, path: str, host: str, body: bytes) -> bytes | None:
        """The body as the rule's `transform` wants it."""
        if self._settings.transform is None:
            return body
        return transformed(self._settings.transform, path, host, body)


_all: weakref.WeakSet[HttpHandler] = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_all):
        each._leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)


def _settings(config: Mapping[str, JSON]) -> Settings:
    """The settings of a rule. Raises Invalid, and MissingExtra without the libraries."""
    try:
        from avm_handlers.http_settings import settings

        return settings(config)
    except ImportError as error:
        raise MissingExtra(f"the handler 'http' needs {error.name}: pip install 'avm[http]'") from error
