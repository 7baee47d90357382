"""The handler passes AVM's suite against a real server; then what is special about Redis."""

import os

import pytest
from avm_redis.handler import RedisHandler

from avm import AVM, Kind
from avm.errors import Denied, Exists, NotEmpty, NotFound, PluginError, Unsupported
from vfs_core.handler import Context
from vfs_core.testing import HandlerTests
from vfs_core.testing.handlers import PRINCIPAL


class TestRedisHandler(HandlerTests):
    @pytest.fixture
    def handler(self, server, client):
        client.set("app:user/7", b"Anna \xff")
        client.set("other", b"is not of the prefix")
        handler = RedisHandler({"url": server, "prefix": "app:"})
        yield handler
        handler.close()

    @pytest.fixture
    def present(self):
        return "/redis/user/7", b"Anna \xff"

    @pytest.fixture
    def absent(self):
        return "/redis/user/8"

    @pytest.fixture
    def make_context(self):
        return lambda path: Context(PRINCIPAL, None, relative=path.removeprefix("/redis").strip("/"))


CONFIG = """
providers:
  - pattern: "/redis/**"
    handler: redis
    config:
      url: "{url}"
      prefix: "app:"
permissions:
  - pattern: "/redis/**"
    access: {access}
"""


@pytest.fixture
def mounted(server, client, tmp_path):
    """AVM with the keys below /redis, mounted from YAML."""
    file = tmp_path / "config.yaml"

    def mount(access="rw"):
        file.write_text(CONFIG.format(url=server, access=access))
        return AVM(config=file, db=tmp_path / "avm.db")

    return mount


def test_keys_are_files(mounted, client):
    avm = mounted()
    avm.write("/redis/user/7", "Anna")
    avm.append("/redis/user/7", " K.")
    assert client.get("app:user/7") == b"Anna K." == avm.read("/redis/user/7").data
    assert [(each.name, each.stat.kind) for each in avm.list("/redis")] == [("user", Kind.DIRECTORY)]
    assert [each.name for each in avm.list("/redis/user")] == ["7"]
    assert avm.stat("/redis/user/7").size == 7
    avm.write("/redis/a", "1")
    with pytest.raises(Exists):
        avm.rename("/redis/a", "/redis/user/7")
    avm.rename("/redis/a", "/redis/b")
    with pytest.raises(NotFound):
        avm.rename("/redis/a", "/redis/c")
    avm.delete("/redis/b")
    with pytest.raises(NotFound):
        avm.delete("/redis/b")
    assert client.keys() == [b"app:user/7"]


def test_a_directory_is_there_as_long_as_keys_are_below_it(mounted, client):
    avm = mounted()
    avm.write("/redis/user/deep/7", "Anna")
    for directory in ("/redis", "/redis/user", "/redis/user/deep"):
        assert avm.stat(directory).kind is Kind.DIRECTORY
    for absent in ("/redis/use", "/redis/user/7"):
        with pytest.raises(NotFound):
            avm.stat(absent)
    with pytest.raises(NotEmpty, match="goes with the last key"):
        avm.delete("/redis/user")
    client.set("app:user", "is a key as well")
    assert [(each.name, each.stat.kind) for each in avm.list("/redis")] == [("user", Kind.FILE)]
    assert avm.stat("/redis/user").kind is Kind.FILE
    assert avm.read("/redis/user/deep/7").data == b"Anna"
    client.flushall()
    with pytest.raises(NotFound):
        avm.stat("/redis/user/deep")
    assert avm.stat("/redis").kind is Kind.DIRECTORY


def test_without_rights_nothing_is_written(mounted, client):
    client.set("app:a", "1")
    avm = mounted("ro")
    assert avm.read("/redis/a").data == b"1"
    with pytest.raises(Denied):
        avm.write("/redis/a", "2")
    assert client.get("app:a") == b"1"


def test_wildcards_in_names_are_names(mounted, client):
    for key in ("app:a*b/x", "app:a?b/y", "app:acb/z", "app:[ab]/w", "app:\\/v"):
        client.set(key, "1")
    avm = mounted()
    assert [each.name for each in avm.list("/redis/a*b")] == ["x"]
    assert [each.name for each in avm.list("/redis/[ab]")] == ["w"]
    assert [each.name for each in avm.list("/redis/\\")] == ["v"]


def test_a_key_of_another_type_is_listed_and_not_read(mounted, client):
    client.rpush("app:list", "1")
    client.set(b"app:\xff", "no path can name it")
    avm = mounted()
    assert [each.name for each in avm.list("/redis")] == ["list"]
    assert avm.stat("/redis/list").kind is Kind.FILE
    with pytest.raises(Unsupported, match="holds no string"):
        avm.read("/redis/list")


def test_a_server_that_is_not_there_is_told(tmp_path):
    url = f"unix://{tmp_path}/nothing"
    avm = AVM(
        db=tmp_path / "avm.db",
        providers=[{"pattern": "/redis/**", "handler": "redis", "config": {"url": url}}],
    )
    with pytest.raises(PluginError, match="the Redis server cannot be reached"):
        avm.read("/redis/a")
    avm.write("/memory/a", "the rest works")


def test_after_a_fork_both_sides_have_connections_of_their_own(mounted, client):
    client.set("app:a", "1")
    avm = mounted()
    avm.read("/redis/a")
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if all(avm.read("/redis/a").data == b"1" for _ in range(100)) else 2
        finally:
            os._exit(status)
    assert all(avm.read("/redis/a").data == b"1" for _ in range(100))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
