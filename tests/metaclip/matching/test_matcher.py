import gzip
import json
import os
import random
import struct
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import ahocorasick
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.config.settings import Extract
from metaclip.errors import StoreError
from metaclip.matching.definition import match_by_definition, space_text
from metaclip.matching.matcher import Matcher
from metaclip.matching.table_kernel import _sort_distinct
from metaclip.sources.warc import read_warc
from metaclip.sources.wat import read_wat
from tests.shared import shared_data


def as_lists(result):
    offsets, ids = result
    assert offsets.dtype == np.int64
    assert ids.dtype == np.uint32
    assert offsets[0] == 0
    assert offsets[-1] == len(ids)
    return [ids[a:b].tolist() for a, b in pairwise(offsets)]


def by_definition(entries, texts):
    """Return the definition's ids, of equal entries the first only."""
    first = {}
    for i, entry in enumerate(entries):
        first.setdefault(entry, i)
    kept = set(first.values())
    return [[i for i in ids if i in kept] for ids in match_by_definition(entries, texts)]


# Few characters, so that entries and texts meet: marks, blanks of all kinds, one to four bytes of
# UTF-8, a lone surrogate, NUL, and the characters that are no boundary.
ALPHABET = " .,a\tb\n\r;:?!`é\u00a0中\U0001f436\ud800\x00(-'"
WORDS = [
    "", "a", "b", "aa", "ab", ".", ",", "a.", "é", "中", "\x00", "a\x00", "abcdefg", "abcdefgh", "abcdefgh\x00",
    "abcdefghi", "abcdefghijklmno", "abcdefghijklmnop", "abcdefghijklmnopq", "abcdefghijklmnopr", "b" * 16,
    "b" * 17, "é" * 8, "é" * 9, "x" * 300, "a\tb",
]  # fmt: skip
phrases = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
strings = st.one_of(st.text(ALPHABET, max_size=12), phrases)
# At the end of the buffer tokens are read byte by byte, elsewhere eight at a time: try both.
tails = st.sampled_from([[], ["z" * 64]])


@pytest.mark.slow
@settings(max_examples=1500)
@given(st.lists(strings, max_size=12), st.lists(strings, max_size=8), tails)
def test_equals_the_definition(entries, texts, tail):
    texts = texts + tail
    assert as_lists(Matcher(entries).match(texts)) == by_definition(entries, texts)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(strings, min_size=1, max_size=6), st.data())
def test_finds_entries_cut_from_the_texts(texts, data):
    """Entries that are pieces of the spaced texts, beginnings of one another among them."""
    entries = []
    for text in texts:
        tokens = space_text(text)[1:-1].split(" ")
        for _ in range(4):
            begin = data.draw(st.integers(0, len(tokens) - 1))
            end = data.draw(st.integers(begin + 1, len(tokens)))
            entries.append(" ".join(tokens[begin:end]))
    matched = as_lists(Matcher(entries).match(texts))
    assert matched == by_definition(entries, texts)
    assert all(matched)


@pytest.mark.slow
def test_texts_and_entries_longer_than_any_window():
    draw = random.Random(5)
    tokens = [draw.choice(["a", "b", "a.", "", "abcdefghijklmnopqrst"]) for _ in range(30_000)]
    text = " ".join(tokens)
    spaced = space_text(text)[1:-1].split(" ")
    entries = []
    for length in [1, 2, 3, 5, 10, 20, 100, 1000, 5000, len(spaced)]:
        for _ in range(20):
            begin = draw.randrange(len(spaced) - length + 1)
            entries.append(" ".join(spaced[begin : begin + length]))
            entries.append(" ".join([*spaced[begin : begin + length - 1], "never"]))
    texts = [text, "b", text[:50_000], "", text + " end", "." * 20_000, "a" * 100_000, " " * 9_000]
    entries += ["a" * 100_000, "a" * 99_999]
    assert as_lists(Matcher(entries).match(texts)) == by_definition(entries, texts)


def test_every_start_in_a_long_text_sees_all_that_follows():
    """One path of 40 tokens at every position of a text of several windows."""
    for at in range(4_000, 4_400):
        tokens = ["x"] * 9_000
        tokens[at : at + 40] = [str(i) for i in range(40)]
        if at == 4_000:
            matcher = Matcher([" ".join(tokens[at : at + 40]), "39 x", "x 0"])
        assert as_lists(matcher.match([" ".join(tokens)])) == [[0, 1, 2]]


def test_many_ids_in_one_text_are_sorted_and_distinct():
    entries = [str(i) for i in range(120_000)]
    random.Random(1).shuffle(entries)
    matcher = Matcher(entries)
    text = " ".join(str(i % 110_000) for i in range(300_000))
    wanted = sorted(i for i, entry in enumerate(entries) if int(entry) < 110_000)
    assert as_lists(matcher.match(["5 5 5", text, "7"])) == [[entries.index("5")], wanted, [entries.index("7")]]


def test_ids_are_sorted_and_distinct_however_many_there_are():
    draw = random.Random(4)
    for count in range(70):
        ids = np.array([draw.randrange(1 + 2 * count) for _ in range(count + 2)], np.uint32)
        wanted = np.unique(ids[1:-1]).tolist()
        end = _sort_distinct(ids, 1, 1 + count)
        assert ids[1:end].tolist() == wanted


def test_duplicates_and_entries_that_cannot_match_are_counted():
    matcher = Matcher(["dog", "cat", "dog", "st. louis", "a\tb", ".", "U.S.", "dog", ""])
    assert (matcher.n_entries, matcher.duplicates, matcher.unmatchable) == (9, 2, 3)
    assert as_lists(matcher.match(["st. louis dog U.S. a\tb"])) == [[0, 5, 8]]


def test_no_entries_and_no_texts():
    assert as_lists(Matcher([]).match(["a", ""])) == [[], []]
    assert as_lists(Matcher(["a"]).match([])) == []
    assert as_lists(Matcher(["a"]).match(pa.array([], pa.string()))) == []
    assert as_lists(Matcher(["a"]).match(pa.chunked_array([], pa.string()))) == []


@settings(max_examples=200)
@given(
    st.lists(st.text(ALPHABET.replace("\ud800", ""), max_size=8), min_size=1, max_size=9),
    st.sampled_from([pa.string(), pa.large_string()]),
    st.data(),
)
def test_arrow_arrays_slices_and_chunks(texts, arrow_type, data):
    entries = ["a", "b", "", ".", "é", "a b", "中"]
    wanted = by_definition(entries, texts)
    matcher = Matcher(entries)
    array = pa.array(texts, arrow_type)
    assert as_lists(matcher.match(array)) == wanted
    begin = data.draw(st.integers(0, len(texts)))
    end = data.draw(st.integers(begin, len(texts)))
    assert as_lists(matcher.match(array[begin:end])) == wanted[begin:end]
    chunked = pa.chunked_array([array[:begin], array[begin:end], array[end:]], arrow_type)
    assert as_lists(matcher.match(chunked)) == wanted
    assert as_lists(matcher.match(chunked[begin:end])) == wanted[begin:end]


def test_what_is_not_texts_is_refused():
    matcher = Matcher(["a"])
    with pytest.raises(ValueError, match="1 are null"):
        matcher.match(pa.array(["a", None]))
    with pytest.raises(ValueError, match="2 are null"):
        matcher.match(pa.chunked_array([["a", None], [None]], pa.string()))
    with pytest.raises(TypeError, match="binary"):
        matcher.match(pa.array([b"a"]))
    with pytest.raises(TypeError, match="expected a sequence"):
        matcher.match("a text")
    with pytest.raises(TypeError, match="number 1 is a NoneType"):
        matcher.match(["a", None])
    with pytest.raises(TypeError, match="entries: number 0 is a int"):
        Matcher([1])


ENTRIES = ["dog", "hot dog", "", ".", "dog", "a. b", "a token of more than-sixteen-bytes here", "é"]
TEXTS = ["a hot dog.", "a token of more than-sixteen-bytes here", "é  b", "A HOT DOG"]


@pytest.mark.parametrize("mmap", [True, False])
def test_saved_and_loaded(tmp_path, mmap):
    matcher = Matcher(ENTRIES)
    matcher.save(tmp_path / "table")
    assert [path.name for path in tmp_path.iterdir()] == ["table"]
    assert (tmp_path / "table").stat().st_size == matcher.nbytes
    loaded = Matcher.load(tmp_path / "table", mmap=mmap)
    assert as_lists(loaded.match(TEXTS)) == as_lists(matcher.match(TEXTS)) == by_definition(ENTRIES, TEXTS)
    for name in ("n_entries", "duplicates", "unmatchable", "nbytes"):
        assert getattr(loaded, name) == getattr(matcher, name)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "table").read_bytes()


@pytest.mark.slow
def test_same_entries_give_the_same_bytes_in_any_process(tmp_path):
    script = "import sys; from metaclip.matching.matcher import Matcher; Matcher(sys.argv[2:]).save(sys.argv[1])"
    for seed in ("0", "1234"):
        command = [sys.executable, "-c", script, str(tmp_path / seed), *ENTRIES]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1234").read_bytes()


@pytest.mark.parametrize("mmap", [True, False])
def test_a_file_that_is_no_whole_table_is_refused(tmp_path, mmap):
    path = tmp_path / "table"
    with pytest.raises(StoreError, match="cannot be read"):
        Matcher.load(path, mmap=mmap)
    Matcher(ENTRIES).save(path)
    whole = path.read_bytes()

    def refused(content, reason):
        path.write_bytes(content)
        with pytest.raises(StoreError, match=reason) as error:
            Matcher.load(path, mmap=mmap)
        assert str(path) in str(error.value)

    refused(b"", "cannot be read|not a matcher's table")
    refused(b"PAR1" * 100, "not a matcher's table")
    refused(whole[:100], "not a matcher's table")
    refused(whole[:-1], "bytes long, should be")
    refused(whole[:128], "bytes long, should be")
    refused(whole + b"x", "bytes long, should be")
    refused(whole[:16] + struct.pack("<Q", 99) + whole[24:], "format 99")
    for position in (24, 60, 200, 1000, len(whole) - 1):
        altered = bytearray(whole)
        altered[position] ^= 1
        refused(bytes(altered), "altered|bytes long")


@pytest.fixture(scope="module")
def standin():
    with gzip.open(shared_data("metadata", "standin_500k.json.gz"), "rt", encoding="utf-8") as file:
        return json.load(file)


@pytest.mark.long
def test_all_real_texts_against_aho_corasick(standin, tmp_path):
    texts = pq.read_table(shared_data("captions", "web_alt_texts_10k.parquet"))["TEXT"].to_pylist()
    for part in (1, 2, 3):
        with gzip.open(shared_data("captions", f"multi30k_en_{part}.txt.gz"), "rt", encoding="utf-8") as file:
            texts += file.read().splitlines()
    for read, kind in ((read_wat, "wat"), (read_warc, "warc")):
        for path in sorted(shared_data("crawl", kind).iterdir()):
            for batch in read(str(path), Extract(), Counter()):
                texts += batch.texts
    assert len(texts) > 130_000
    automaton = ahocorasick.Automaton()
    for i, entry in enumerate(standin):
        automaton.add_word(f" {entry} ", i)
    automaton.make_automaton()
    wanted = [sorted({i for _, i in automaton.iter(space_text(text))}) for text in texts]
    Matcher(standin).save(tmp_path / "table")
    matcher = Matcher.load(tmp_path / "table")
    assert matcher.nbytes < 40_000_000
    assert as_lists(matcher.match(pa.array(texts))) == wanted
    assert sum(map(len, wanted)) > 1_000_000
