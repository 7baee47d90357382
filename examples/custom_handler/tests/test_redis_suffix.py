"""The suffix passes AVM's suite, and shows parts of what is JSON."""

import pytest
from avm_redis.suffix import Json

from avm import AVM, SuffixContext
from avm.errors import Invalid, NotFound
from vfs_core.testing import SuffixTests


@pytest.fixture
def avm(tmp_path):
    with AVM(db=tmp_path / "avm.db") as avm:
        avm.write("/memory/user", '{"name": "安娜", "tags": ["a", {"b": 1}]}')
        yield avm


class TestJson(SuffixTests):
    @pytest.fixture
    def suffix(self):
        return Json()

    @pytest.fixture
    def context(self, avm):
        return SuffixContext(avm.session, "/memory/user", {})


def test_it_shows_all_or_a_part(avm):
    assert avm.read("/memory/user:json").text.startswith('{\n  "name": "安娜",\n')
    assert avm.read("/memory/user:json?at=name").text == '"安娜"\n'
    assert avm.read("/memory/user:json?at=tags[1].b").text == "1\n"


@pytest.mark.parametrize("at", ["nothing", "tags[7]", "name.x", "tags.a"])
def test_what_is_not_there_is_not_found(avm, at):
    with pytest.raises(NotFound):
        avm.read(f"/memory/user:json?at={at}")


@pytest.mark.parametrize("at", ["tags[x]", "name]", "tags[0", "[[0]]", "name..x"])
def test_a_bad_question_is_told(avm, at):
    with pytest.raises((Invalid, NotFound)):
        avm.read(f"/memory/user:json?at={at}")


def test_what_is_not_json_is_told(avm):
    avm.write("/memory/text", "hello")
    with pytest.raises(Invalid, match="is not JSON"):
        avm.read("/memory/text:json")
