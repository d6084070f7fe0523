"""PMI equals nltk's on a real text, and its bound is as the docs say."""

import gzip
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.collocations import BigramAssocMeasures, BigramCollocationFinder

from metaclip.metadata.pmi import log2, pmi
from tests.metaclip.metadata.wikipedia.test_ngrams import counted
from tests.shared import shared_data


@pytest.mark.slow
def test_equals_nltk_on_real_captions() -> None:
    lines = gzip.decompress(shared_data("captions", "multi30k_en_1.txt.gz").read_bytes()).decode().splitlines()
    # nltk pairs whatever follows each other: a text without marks.
    tokens = [token for token in " ".join(lines).split() if token.isalnum()]
    finder = BigramCollocationFinder.from_words(tokens)
    expected = dict(finder.score_ngrams(BigramAssocMeasures.pmi))
    words, pairs = counted([" ".join(tokens)], 16 << 20)
    total = sum(words.values())
    assert total == len(tokens)
    assert set(pairs) == set(expected)
    assert len(pairs) > 20_000
    keys = list(pairs)
    scores = pmi([pairs[k] for k in keys], [words[a] for a, _ in keys], [words[b] for _, b in keys], total)
    assert scores == pytest.approx([expected[key] for key in keys], abs=1e-6)


@pytest.mark.slow
def test_equals_nltk_on_counts_of_a_text_with_marks() -> None:
    lines = gzip.decompress(shared_data("captions", "multi30k_en_2.txt.gz").read_bytes()).decode().splitlines()
    words, pairs = counted(lines, 16 << 20)
    total = sum(words.values())
    measure = BigramAssocMeasures.pmi
    keys = list(pairs)
    scores = pmi([pairs[k] for k in keys], [words[a] for a, _ in keys], [words[b] for _, b in keys], total)
    expected = [measure(pairs[a, b], (words[a], words[b]), total) for a, b in keys]
    assert scores == pytest.approx(expected, abs=1e-6)
    assert scores.max() <= math.log2(total) + 1e-6


@given(st.floats(1e-300, 1e300))
def test_log2_is_the_logarithm(value: float) -> None:
    assert log2(np.array([value]))[0] == pytest.approx(math.log2(value), rel=1e-14, abs=1e-14)


def test_log2_of_powers_of_two_is_exact() -> None:
    powers = np.arange(-1000, 1000)
    assert np.array_equal(log2(np.exp2(powers.astype(float))), powers)


def test_a_pair_that_occurs_once_reaches_the_bound() -> None:
    assert pmi([1], [1], [1], 2**30)[0] == 30
    assert pmi([5], [5], [5], 5 * 2**30)[0] == 30
    assert pmi([1], [1], [1], 2**30 - 1)[0] <= 30
