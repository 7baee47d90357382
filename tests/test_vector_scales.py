"""Products of vectors become comparable: across languages, questions and sizes of a store."""

import numpy as np
import pytest

from avm_builtin.embedders.auto import AutoEmbedder
from avm_builtin.vectors.scales import Usual, standardised, usual

KNOWN = Usual(0.2, 0.1)


def array(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(values, np.float32)


def test_many_notes_say_what_is_usual_by_themselves():
    sample = np.random.default_rng(1).normal(0.8, 0.02, 512).astype(np.float32)
    for known in (KNOWN, None):
        far, near = standardised(array(0.8, 0.88), sample, known)
        assert far == pytest.approx(0, abs=0.3)
        assert near > 1.5
    assert standardised(array(0.88), sample, Usual(0.8, 0.02))[0] == pytest.approx(4, abs=0.4)


@pytest.mark.parametrize("known", [KNOWN, None])
@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_few_notes_and_equal_notes_give_numbers(known: Usual | None, count: int):
    result = standardised(array(0.5, 0.5), np.full(count, 0.5, np.float32), known)
    assert np.isfinite(result).all() and abs(result[0]) < 10


def test_one_note_is_measured_by_what_is_usual_for_the_model():
    near, far = (standardised(array(value), array(value), KNOWN)[0] for value in (0.6, 0.2))
    assert near > 3 and far == pytest.approx(0, abs=0.01)


def test_the_order_within_a_scale_stays():
    values = array(0.1, 0.4, 0.2)
    assert list(np.argsort(standardised(values, values, KNOWN))) == [0, 2, 1]


def test_the_default_embedder_is_measured():
    fingerprint = AutoEmbedder().fingerprint
    same, other = usual(fingerprint, "english", "english"), usual(fingerprint, "chinese", "english")
    assert same is not None and other is not None and same.deviation > other.deviation
    assert usual("some model", "english", "english") is None


def test_a_translation_is_as_near_as_what_is_in_the_language_of_the_question():
    embedder = AutoEmbedder()
    english = ["The cat sleeps on the sofa.", "Oil prices rose again.", "We meet on Monday at nine."]
    chinese = ["猫在沙发上睡觉。", "油价再次上涨。", "我们周一九点见面。"]
    texts = english + chinese
    vectors = np.asarray(embedder.encode(texts, "document"))
    question = np.asarray(embedder.encode(["Where does the cat sleep?"], "query"))[0]
    scores = {}
    for scale, members in (("english", range(3)), ("chinese", range(3, 6))):
        products = vectors[list(members)] @ question
        known = usual(embedder.fingerprint, "english", scale)
        scores.update(zip(members, standardised(products, products, known), strict=True))
    assert sorted(scores, key=lambda number: -scores[number])[:2] in ([0, 3], [3, 0])
