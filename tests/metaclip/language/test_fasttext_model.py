import re
import struct

import numpy as np
import pytest

from metaclip.config.language_labels import LABELS
from metaclip.errors import OtherModelError
from metaclip.language.fasttext_model import read_model
from metaclip.language.model_file import find_model

ARGUMENTS = 8  # where the training arguments begin
DICTIONARY = ARGUMENTS + 12 * 4 + 8


@pytest.fixture(scope="module")
def content():
    return find_model().read_bytes()


def changed(content, layout, at, value):
    altered = bytearray(content)
    struct.pack_into(layout, altered, at, value)
    return bytes(altered)


def test_the_model_that_is_shipped_is_read():
    model = read_model(find_model())
    assert set(model.labels) == LABELS
    tables = model.tables
    assert tables.rows.shape == (7_235 + 42_765, 16)
    assert sum(array.nbytes for array in tables[:-1]) < 4_400_000
    assert np.bitwise_count(tables.present).sum() == len(tables.rows)
    assert tables.word_data[: tables.word_bounds[1]].tobytes() == b"</s>"
    assert tables.end == 0


def test_every_label_has_a_path_and_every_turn_leads_there():
    tables = read_model(find_model()).tables
    for label, path in enumerate(tables.paths.tolist()):
        node = 2 * 176 - 2
        for step in path[: path.index(-1)]:
            assert node - 176 == step >> 1
            node = tables.children[step >> 1, step & 1]
        assert node == label


@pytest.mark.parametrize(
    ("layout", "at", "value", "reason"),
    [
        ("<i", 0, 1, "magic number and format"),
        ("<i", 4, 11, "magic number and format"),
        ("<i", ARGUMENTS, 32, "dim: 32, expected 16"),
        ("<i", ARGUMENTS + 20, 2, "word n-grams: 2"),
        ("<i", ARGUMENTS + 24, 3, "loss: 3"),
        ("<i", ARGUMENTS + 28, 1, "model: 1"),
        ("<i", ARGUMENTS + 32, 1000, "buckets: 1000"),
        ("<i", ARGUMENTS + 36, 1, "shortest n-gram: 1"),
        ("<i", ARGUMENTS + 40, 6, "longest n-gram: 6"),
        ("<i", DICTIONARY, 7412, "words and labels"),
        ("<q", DICTIONARY + 20, -1, "-1 n-grams kept by pruning"),
        ("<q", DICTIONARY + 20, 42_764, "input: "),
        ("<q", DICTIONARY + 20, 1 << 40, "n-grams kept"),
        ("<b", DICTIONARY + 28 + 5 + 8, 1, "kinds of entries"),
    ],
)
def test_other_shapes_are_refused_by_name(content, tmp_path, layout, at, value, reason):
    path = tmp_path / "model.ftz"
    path.write_bytes(changed(content, layout, at, value))
    with pytest.raises(OtherModelError, match=reason) as refusal:
        read_model(path)
    assert str(path) in str(refusal.value)


def test_a_word_that_looks_like_a_label_is_refused(content, tmp_path):
    path = tmp_path / "model.ftz"
    word = re.search(rb"(?<=\0)[a-z]{10,}(?=\0)", content)
    path.write_bytes(changed(content, "9s", word.start(), b"__label__"))
    with pytest.raises(OtherModelError, match="a word that begins as labels do"):
        read_model(path)


def test_how_often_a_word_was_met_in_training_changes_nothing(content, tmp_path):
    path = tmp_path / "model.ftz"
    path.write_bytes(changed(content, "<q", DICTIONARY + 28 + 5, 3))
    expected = read_model(find_model()).tables
    assert all(np.array_equal(*pair) for pair in zip(read_model(path).tables, expected, strict=True))


def test_a_file_that_ends_anywhere_is_refused(content, tmp_path):
    path = tmp_path / "model.ftz"
    for size in [0, 1, 7, 8, 63, 64, 91, 92, 500, 100_000, 150_000, 500_000, 900_000, len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(OtherModelError):
            read_model(path)


def test_garbage_within_the_file_never_gives_tables_that_lead_outside(content, tmp_path):
    """The kernel checks no index, so whatever the reader lets through must stay within the tables."""
    rng = np.random.default_rng(7)
    path = tmp_path / "model.ftz"
    taken = 0
    for _ in range(25):
        altered = bytearray(content)
        for at in rng.integers(DICTIONARY, len(content), 3).tolist():
            altered[at] ^= int(rng.integers(1, 256))
        path.write_bytes(altered)
        try:
            tables = read_model(path).tables
        except OtherModelError:
            continue
        taken += 1
        ranks = tables.before + np.bitwise_count(tables.present)
        assert int(ranks.max()) == len(tables.rows)
        assert len(tables.present) * 64 >= 2_000_000 + len(tables.word_hashes)
        assert int(tables.word_slots.max()) <= len(tables.word_hashes) < len(tables.word_slots)
        assert int(tables.word_bounds[-1]) == len(tables.word_data)
        assert int(tables.children.max()) < 2 * 176 - 2
        assert np.isfinite(tables.rows).all()
        assert np.isfinite(tables.output).all()
    assert taken
