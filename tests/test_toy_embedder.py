"""A toy embedder and two toy suffixes pass their suites."""

import math
from array import array
from types import SimpleNamespace

import pytest

from vfs_core.embedding import Embedder
from vfs_core.errors import Invalid
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.testing import EmbedderTests, SuffixTests


class ByteEmbedder(Embedder):
    """Counts bytes: each text's vector says which of eight kinds of bytes it has."""

    fingerprint = "bytes-8"
    dimensions = 8

    def encode(self, texts, kind):
        vectors = array("f")
        for text in texts:
            counts = [1.0] * 8
            for byte in text.encode():
                counts[byte >> 5] += 1
            length = math.hypot(*counts)
            vectors.extend(count / length for count in counts)
        return memoryview(vectors).cast("B").cast("f", (len(texts), 8)) if texts else memoryview(vectors)


class TestByteEmbedder(EmbedderTests):
    @pytest.fixture
    def embedder(self):
        return ByteEmbedder()


class SizeSuffix(BaseSuffix):
    """How many bytes the base has."""

    def read(self, context):
        return str(len(context.session.contents[context.path]))


class NumberSuffix(BaseSuffix):
    """The base as a number that can be set."""

    write_operation = Operation.WRITE

    def read(self, context):
        return context.session.contents[context.path]

    def write(self, context, data):
        try:
            context.session.contents[context.path] = str(int(data)).encode()
        except ValueError:
            raise Invalid(f"{context.path}: write a whole number") from None


class ToySuffixTests(SuffixTests):
    @pytest.fixture
    def context(self):
        return SuffixContext(SimpleNamespace(contents={"/a": b"12"}), "/a", {})

    @pytest.fixture
    def good_input(self):
        return b"1", b"-17"

    @pytest.fixture
    def bad_input(self):
        return b"\xff", b"", b"one"


class TestSizeSuffix(ToySuffixTests):
    @pytest.fixture
    def suffix(self):
        return SizeSuffix()


class TestNumberSuffix(ToySuffixTests):
    @pytest.fixture
    def suffix(self):
        return NumberSuffix()
