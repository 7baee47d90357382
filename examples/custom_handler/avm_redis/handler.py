"""The handler: a path below the pattern is a key of a Redis server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import redis

from avm import BaseHandler, Context, Kind, Stat
from avm.errors import Exists, NotEmpty, NotFound, PluginError, TimedOut, Unsupported, VfsError
from vfs_core.types import JSON

_SPECIAL = re.compile(rb"([*?\[\]\\])")
"""What Redis takes for a wildcard in a pattern of keys."""


class RedisHandler(BaseHandler):
    """Keys of a Redis server, `/` included: /redis/user/7 is the key user/7. Values are bytes."""

    caching = "all"  # what a key holds does not depend on who asks

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        super().__init__(config)
        self._prefix = str(self.config.get("prefix", "")).encode()
        # Connections are made at the first command, and anew in a forked process.
        self._redis = redis.Redis.from_url(
            str(self.config["url"]), socket_connect_timeout=5, socket_timeout=20
        )

    def read(self, path: str, context: Context) -> bytes | None:
        """The value of a key."""
        value: bytes | None = self._ask(path, lambda: self._redis.get(self._key(context)))
        return value

    def write(self, path: str, data: bytes, context: Context) -> None:
        """Set a key."""
        self._ask(path, lambda: self._redis.set(self._key(context), data))

    def append(self, path: str, data: bytes, context: Context) -> None:
        """Add to the end of a value, in one step."""
        self._ask(path, lambda: self._redis.append(self._key(context), data))

    def delete(self, path: str, context: Context) -> None:
        """Remove a key. Raises NotFound, NotEmpty."""
        if not self._ask(path, lambda: self._redis.delete(self._key(context))):
            if self.stat(path, context) is not None:
                raise NotEmpty(f"{path} is a directory, and goes with the last key in it; remove those")
            raise NotFound.at(path)

    def rename(self, old: str, new: str, context: Context) -> None:
        """Rename a key, never onto another. Raises NotFound, Exists."""
        source = self._key(context)
        pattern = old[: len(old) - len(context.relative)]
        target = self._prefix + new[len(pattern) :].encode()
        try:
            renamed = self._ask(old, lambda: self._redis.renamenx(source, target))
        except PluginError as error:
            if "no such key" in str(error):
                raise NotFound.at(old) from error
            raise
        if not renamed:
            raise Exists(f"{new} exists already")

    def stat(self, path: str, context: Context) -> Stat | None:
        """The size of a value, without fetching it; a directory where only keys below have the name."""
        key = self._key(context)
        if not context.relative:
            return _stat(Kind.DIRECTORY)
        try:
            size = self._ask(path, lambda: self._redis.strlen(key))
        except Unsupported:  # a key of another type, which is listed as well
            return _stat(Kind.FILE)
        if size or self._ask(path, lambda: self._redis.exists(key)):
            return _stat(Kind.FILE, size)
        below = self._ask(path, lambda: next(self._keys_from(key + b"/"), None))
        return None if below is None else _stat(Kind.DIRECTORY)

    def list(self, path: str, context: Context) -> list[str]:
        """What comes next in the keys that begin with the directory's name."""
        start = self._key(context) + (b"/" if context.relative else b"")
        found: set[str] = set()
        for key in self._ask(path, lambda: list(self._keys_from(start))):
            try:
                name, slash, _ = key[len(start) :].decode().partition("/")
            except UnicodeDecodeError:
                continue  # no path can name it
            if name not in ("", ".", "..") and "\0" not in name:
                found.add(name + slash)
        return sorted(found - {f"{name}/" for name in found})  # what is a key is a file

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def keys(self) -> int:
        """How many keys there are in all, whatever they begin with."""
        count: int = self._ask("the server", self._redis.dbsize)
        return count

    def _keys_from(self, start: bytes) -> Iterator[bytes]:
        found: Iterator[bytes] = self._redis.scan_iter(_SPECIAL.sub(rb"\\\1", start) + b"*", count=1000)
        return found

    def _key(self, context: Context) -> bytes:
        return self._prefix + context.relative.encode()

    @staticmethod
    def _ask(path: str, command: Any) -> Any:
        """What a command returns, with the library's errors as AVM's."""
        try:
            return command()
        except redis.TimeoutError as error:
            raise TimedOut(f"{path}: the Redis server does not answer in time") from error
        except redis.ConnectionError as error:
            raise PluginError(f"{path}: the Redis server cannot be reached: {error}") from error
        except redis.ResponseError as error:
            raise _refused(path, error) from error


def _stat(kind: Kind, size: int = 0) -> Stat:
    return Stat(0, kind, 0o755 if kind is Kind.DIRECTORY else 0o644, "", "", size, 0, 0, 0, 0)


def _refused(path: str, error: redis.ResponseError) -> VfsError:
    text = str(error)
    if text.startswith("WRONGTYPE"):
        return Unsupported(f"{path}: the key holds no string (redis-cli TYPE says what)")
    return PluginError(f"{path}: the Redis server says: {text}")
