"""The conformance suite of the suffix contract (`vfs_core.suffix`): override `suffix` and `context`."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from vfs_core.errors import Invalid, ReadOnly, Unsupported
from vfs_core.storage import Operation
from vfs_core.suffix import FORMAT, BaseSuffix, SuffixContext
from vfs_core.testing.store_contents import in_threads


class SuffixTests:
    """A virtual node reads the same twice, says what it asks of the policy, and takes no bad input."""

    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        """An instance."""
        raise NotImplementedError("override the fixture `suffix`")

    @pytest.fixture
    def context(self) -> SuffixContext:
        """A base that the suffix applies to, in a session that may do all with it."""
        raise NotImplementedError("override the fixture `context`")

    @pytest.fixture
    def good_input(self) -> Sequence[bytes]:
        """What can be written, if anything can."""
        return ()

    @pytest.fixture
    def bad_input(self) -> Sequence[bytes]:
        """What must be refused: not UTF-8, unless the suffix takes any bytes."""
        return (b"\xff\xfe",)

    def test_it_reads_as_text_or_bytes_and_the_same_twice(
        self, suffix: BaseSuffix, context: SuffixContext
    ) -> None:
        content = suffix.read(context)
        assert isinstance(content, (bytes, str))
        assert suffix.read(context) == content

    def test_it_declares_what_it_amounts_to(self, suffix: BaseSuffix) -> None:
        assert isinstance(suffix.read_operation, Operation)
        assert suffix.write_operation is None or isinstance(suffix.write_operation, Operation)
        assert suffix.on_directories or suffix.on_files

    def test_its_json_can_be_written_as_json(self, suffix: BaseSuffix, context: SuffixContext) -> None:
        if type(suffix).read_json is BaseSuffix.read_json:
            with pytest.raises(Unsupported):
                suffix.read_json(context)
            return
        value = suffix.read_json(context)
        assert json.loads(json.dumps(value, allow_nan=False)) == value

    def test_its_options_are_words_and_none_is_format(self, suffix: BaseSuffix) -> None:
        assert not isinstance(suffix.options, str)
        assert all(option.isidentifier() for option in suffix.options)
        assert FORMAT not in suffix.options

    def test_what_cannot_be_written_says_so(self, suffix: BaseSuffix, context: SuffixContext) -> None:
        if suffix.write_operation is not None:
            assert type(suffix).write is not BaseSuffix.write, "it declares an operation and no write"
            return
        before = suffix.read(context)
        with pytest.raises(ReadOnly):
            suffix.write(context, b"x")
        assert suffix.read(context) == before

    def test_good_input_is_taken(
        self, suffix: BaseSuffix, context: SuffixContext, good_input: Sequence[bytes]
    ) -> None:
        for data in good_input if suffix.write_operation is not None else ():
            suffix.write(context, data)
            assert isinstance(suffix.read(context), (bytes, str))

    def test_bad_input_is_invalid_and_changes_nothing(
        self, suffix: BaseSuffix, context: SuffixContext, bad_input: Sequence[bytes]
    ) -> None:
        before = suffix.read(context)
        for data in bad_input if suffix.write_operation is not None else ():
            with pytest.raises(Invalid) as caught:
                suffix.write(context, data)
            assert str(caught.value), "say what would be right"
            assert suffix.read(context) == before

    def test_several_threads_read_at_once(self, suffix: BaseSuffix, context: SuffixContext) -> None:
        content = suffix.read(context)

        def work(_name: int) -> None:
            for _ in range(10):
                assert suffix.read(context) == content

        in_threads(4, work)
