"""Counts equal a plain implementation, whatever the memory, the order and the number of runs."""

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.metadata.wikipedia import ngrams
from metaclip.metadata.wikipedia import sorted_counts as runs
from metaclip.metadata.wikipedia.dump import read_articles
from metaclip.metadata.wikipedia.ngrams import NgramCounter
from metaclip.metadata.wikipedia.sorted_counts import Merge, Run
from metaclip.metadata.wikipedia.wikitext import strip_markup
from tests.metaclip.metadata.oracle import count
from tests.shared import shared_data

WordsAndPairs = tuple[dict[str, int], dict[tuple[str, str], int]]


def merged(found: list[Run]) -> WordsAndPairs:
    merge = Merge(found)
    words = {t: c for part in merge.texts() for t, c in zip(part.texts.to_pylist(), part.counts.tolist(), strict=True)}
    names = list(words)
    assert names == sorted(names)
    pairs, last = {}, -1
    for part in merge.pairs():
        for key, times in zip(part.keys.tolist(), part.counts.tolist(), strict=True):
            assert key > last
            last = key
            pairs[names[key >> 32], names[key & 0xFFFFFFFF]] = times
    return words, pairs


def counted(texts: Iterable[str], memory_bytes: int = 1 << 20) -> WordsAndPairs:
    counter = NgramCounter(memory_bytes)
    for text in texts:
        counter.add(text)
    return merged(counter.runs())


def by_oracle(texts: Iterable[str]) -> WordsAndPairs:
    words: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for text in texts:
        more_words, more_pairs = count(text)
        words.update(more_words)
        pairs.update(more_pairs)
    return dict(words), dict(pairs)


ALPHABET = st.sampled_from(
    [*"aaabcé'’“”()-–.,:;!?` \t\n\u00a0\ufffc=*0x", "𝛼", "漢", "𠀀", "😀", "ß", "\u200b", "\x85"]
)


@pytest.mark.slow
@given(st.lists(st.text(ALPHABET, max_size=60), max_size=5))
@settings(max_examples=300)
def test_any_text_is_counted_by_the_rule(texts: list[str]) -> None:
    assert counted(texts) == by_oracle(texts)


def test_the_rule_by_example() -> None:
    words, pairs = counted(["The “Red Fox” (Vulpes vulpes), a U.S. fox–like dog's 'tail' C++ x\nnext  line"])
    assert sorted(words) == sorted(
        [
            "The",
            "Red",
            "Fox",
            "Vulpes",
            "vulpes",
            "a",
            "U",
            "S",
            "fox–like",
            "dog's",
            "tail",
            "C++",
            "x",
            "next",
            "line",
        ]
    )
    assert set(pairs) == {
        ("Red", "Fox"),
        ("Vulpes", "vulpes"),
        ("a", "U"),
        ("fox–like", "dog's"),
        ("C++", "x"),
        ("next", "line"),
    }


def test_a_token_too_long_is_no_word_and_is_counted() -> None:
    counter = NgramCounter(1 << 20)
    counter.add("a " + "b" * 101 + " c " + "d" * 100 + " =====" + "-" * 300)
    words, pairs = merged(counter.runs())
    assert (set(words), set(pairs)) == ({"a", "c", "d" * 100}, {("c", "d" * 100)})
    assert (counter.too_long, counter.tokens) == (1, 3)


def _zipf_texts(number: int) -> list[str]:
    rng = random.Random(1)
    ranks = [int(rng.paretovariate(0.3)) for _ in range(number)]
    return [
        " ".join(f"w{rank % 200_003}" if rank % 11 else "." for rank in ranks[start : start + 1000])
        for start in range(0, number, 1000)
    ]


@pytest.mark.slow
def test_spilling_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "FAN_IN", 3)  # so that merged runs are merged again
    texts = _zipf_texts(400_000)
    counter = NgramCounter(ngrams.MIN_MEMORY_BYTES)
    for text in texts:
        counter.add(text)
    assert counter.spills > 9
    expected = by_oracle(texts)
    assert merged(counter.runs()) == expected
    assert counted(reversed(texts), 64 << 20) == expected


@pytest.mark.slow
def test_a_text_larger_than_the_tables_loses_no_pair() -> None:
    text = " ".join(f"n{i * 7919 % 100_003}" for i in range(100_000))
    assert counted([text]) == by_oracle([text])


def test_no_text_gives_no_count() -> None:
    assert counted([]) == ({}, {})
    assert counted(["", " .,\n"]) == ({}, {})


@pytest.mark.slow
def test_a_real_dump_equals_the_plain_implementation() -> None:
    (dump,) = shared_data("wikipedia").glob("*.bz2")
    texts = [strip_markup(article) for article in read_articles(str(dump), Counter())]
    words, pairs = counted((text for text in texts if text is not None), 16 << 20)
    assert (words, pairs) == by_oracle(text for text in texts if text is not None)
    assert (len(words), len(pairs)) > (40_000, 200_000)
    assert pairs["United", "States"] > 300
