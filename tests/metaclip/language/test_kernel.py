"""The kernel gives fastText's labels and scores, to the bit, for any bytes."""

import gzip
from collections import Counter
from types import FunctionType

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from metaclip.config.settings import Extract
from metaclip.language import kernel as language_kernel
from metaclip.language.fasttext_model import read_model
from metaclip.language.model_file import find_model
from metaclip.sources.warc import read_warc
from metaclip.sources.wat import read_wat
from tests.shared import shared_data

fasttext = pytest.importorskip("fasttext", reason="fastText's binding, which has no wheel for Python 3.14")
MODEL = read_model(find_model())
PREDICT = fasttext.load_model(str(find_model())).f.predict
WORDS = [
    MODEL.tables.word_data[start:end].tobytes()
    for start, end in zip(MODEL.tables.word_bounds[:-1], MODEL.tables.word_bounds[1:], strict=True)
]


def packed(texts):
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    data = np.frombuffer(b"".join(texts), np.uint8)
    offsets.flags.writeable = data.flags.writeable = False
    return data, offsets


def predictions(texts):
    found = [PREDICT(text + b"\n", 1, 0.0, "strict")[0] for text in texts]
    return [label.removeprefix("__label__") for _, label in found], np.array([score for score, _ in found], np.float32)


def check(texts):
    labels, scores = language_kernel.identify(*packed(texts), MODEL.tables)
    expected, expected_scores = predictions(texts)
    found = [MODEL.labels[label] for label in labels]
    assert [row for row in zip(texts, found, expected, strict=True) if row[1] != row[2]] == []
    assert np.array_equal(scores, expected_scores)


def mutated(seed, count):
    """Real-looking texts with bytes cut, changed, put in and repeated."""
    rng = np.random.default_rng(seed)
    odd = [b"", b"</s>", b"__label__en", b"__label__", b"\xc2\xa0", b"\xf0\x9f\x98\x80", b"\xff", b"\x80\x80", b"\xe4"]
    gaps = [b" ", b" ", b" ", b"", b"\t", b"\x00", b"\r\n", b"\x0b", b"\x0c", b"  "]
    texts = []
    for _ in range(count):
        parts = []
        for _ in range(int(rng.integers(1, 12))):
            pick = rng.random()
            word = WORDS[rng.integers(len(WORDS))] if pick < 0.8 else odd[rng.integers(len(odd))]
            parts += [word, gaps[rng.integers(len(gaps))]]
        text = bytearray(b"".join(parts))
        for _ in range(int(rng.integers(0, 4))):
            if text:
                at = int(rng.integers(len(text)))
                match rng.integers(3):
                    case 0:
                        text[at] = int(rng.integers(256))
                    case 1:
                        del text[at : at + int(rng.integers(1, 5))]
                    case _:
                        text[at:at] = text[at : at + 3] * int(rng.integers(1, 4))
        texts.append(bytes(text))
    return texts


EDGES = [
    b"",
    b" ",
    b"   \t ",
    b"\n",
    b"\nguten Morgen",
    b"guten\nMorgen",
    b" \nx",
    b"</s>",
    b"</s> guten Morgen",
    b"guten </s> Morgen",
    b"guten</s> Morgen",
    b"</s></s>",
    b"__label__",
    b"__label__x",
    b"__label__de",
    b"__label__de guten Morgen",
    b"x__label__de",
    b"__label_ guten",
    b"\0",
    b"guten\0Morgen",
    b"guten\x0bMorgen\x0czusammen\rund\tdu",
    b"guten\x1cMorgen\x1fund\x85du",
    "guten\u00a0Morgen\u3000zusammen\u2028du".encode(),
    "😀".encode(),
    ("😀" * 50).encode(),
    "日本語の文章".encode(),
    "e\u0301 ñ ß \U0010ffff".encode(),
    b"a",
    b"<",
    b">",
    b"<a> <<>> ><",
    bytes(range(256)),
    b"\x80",
    b"\x80\x80\x80\x80",
    b"\xc3",
    b"a\xc3",
    b"\xc3a",
    b"\xed\xa0\x80",
    b"\xf5\xff\xfe",
    *(bytes([byte]) for byte in range(256)),
    *(b"en " + bytes([byte]) + b"de" for byte in range(256)),
]


def test_edge_cases_equal_fasttext():
    check(EDGES)


def test_the_empty_text_gets_the_prior():
    labels, scores = language_kernel.identify(*packed([b"", b" \t", b"</s>"]), MODEL.tables)
    assert [MODEL.labels[label] for label in labels] == ["en"] * 3
    assert scores == pytest.approx(0.1245, abs=1e-4)


def test_every_word_of_the_model_and_what_is_almost_one_equals_fasttext():
    check([*WORDS, *(word[:-1] for word in WORDS), *(word + b"x" for word in WORDS[::3])])


def test_long_words_and_texts_equal_fasttext():
    """Around the size at which waiting rows are added, and a megabyte in one word and in many."""
    lengths = [*range(330, 345), *range(500, 515), *range(1000, 1030), 2048, 4096, 65_536]
    texts = [(b"tion" * length)[:length] for length in lengths]
    texts += [b"the " * length for length in lengths if length < 5000]
    texts += [("и" * length).encode() for length in lengths]
    texts += [b"\x80" * 5000, b"a" + b"\x80" * 70_000, b" " * 1_000_000]
    check([*texts, b"the" * 350_000, b"guten Morgen " * 80_000, "日本語 ".encode() * 100_000])


def test_mutated_texts_equal_fasttext():
    check(mutated(1, 12_000))


TEXTS = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(
        st.one_of(st.sampled_from(WORDS), st.text(" \t\0\u00a0éжअ日😀</s>_label", max_size=6).map(str.encode))
    ).map(b" ".join),
)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(TEXTS, max_size=30))
def test_any_texts_equal_fasttext(texts):
    check(texts)


@pytest.mark.slow
def test_real_texts_equal_fasttext():
    captions = shared_data("captions")
    texts = {text for text in pq.read_table(captions / "web_alt_texts_10k.parquet")["TEXT"].to_pylist() if text}
    for path in sorted(captions.glob("*.txt.gz")):
        texts.update(gzip.decompress(path.read_bytes()).decode().splitlines())
    for read, folder in ((read_wat, "wat"), (read_warc, "warc")):
        for path in sorted(shared_data("crawl", folder).glob("*.gz")):
            for batch in read(str(path), Extract(), Counter()):
                texts.update(batch.texts)
    assert len(texts) > 100_000
    check([text.encode() for text in sorted(texts)])


def test_neighbours_and_order_do_not_show():
    texts = mutated(2, 700)
    labels, scores = language_kernel.identify(*packed(texts), MODEL.tables)
    order = np.random.default_rng(0).permutation(len(texts))
    others = language_kernel.identify(*packed([texts[i] for i in order]), MODEL.tables)
    assert np.array_equal(others[0], labels[order])
    assert np.array_equal(others[1], scores[order])
    data, offsets = packed(texts)
    for i in range(0, 700, 50):
        alone = language_kernel.identify(data, offsets[i : i + 2], MODEL.tables)
        assert (alone[0][0], alone[1][0]) == (labels[i], scores[i])


@pytest.mark.long
def test_the_search_by_products_finds_what_fasttexts_own_walk_finds():
    """With CLOSE at 1 every label counts as close, and every text is decided by the walk."""
    globals_ = vars(language_kernel) | {"CLOSE": 1.0}
    options = {"nogil": True, "error_model": "numpy"}
    for name in ("_best_labels", "identify"):
        function = getattr(language_kernel, name).py_func
        globals_[name] = njit(**options)(FunctionType(function.__code__, globals_, name))
    texts = [*EDGES, *mutated(3, 5_000)]
    walked = globals_["identify"](*packed(texts), MODEL.tables)
    found = language_kernel.identify(*packed(texts), MODEL.tables)
    assert np.array_equal(walked[0], found[0])
    assert np.array_equal(walked[1], found[1])
