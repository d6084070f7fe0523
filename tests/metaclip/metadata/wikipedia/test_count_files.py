"""Ready counts become the same sorted runs that a dump gives; malformed lines are counted or refused."""

import gzip
import random
from collections import Counter
from pathlib import Path

import pytest

from metaclip.errors import InputError
from metaclip.metadata.wikipedia import count_files
from metaclip.metadata.wikipedia.count_files import read_counts
from tests.metaclip.metadata.wikipedia.test_ngrams import merged

LINES = ["7\tred", "5\tfox", "3\tred\tfox", "2\tred", "1\tÉté", "4\tfox\tden", "1\tred\tfox"]


def _write(path: Path, lines: list[str]) -> str:
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return str(path)


@pytest.mark.parametrize("name", ["counts.tsv", "counts.tsv.gz"])
def test_counts_of_words_and_pairs_add_up(tmp_path: Path, name: str) -> None:
    counts: Counter[str] = Counter()
    words, pairs = merged(read_counts(_write(tmp_path / name, LINES), counts))
    assert words == {"red": 9, "fox": 5, "Été": 1, "den": 0}  # den stands in a pair alone
    assert pairs == {("red", "fox"): 4, ("fox", "den"): 4}
    assert counts == {"lines": 7, "word_lines": 4, "pair_lines": 3, "tokens": 15}


def test_batches_and_order_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    lines = [f"{i % 9 + 1}\tw{i * 31 % 997}" + (f"\tw{i * 17 % 991}" if i % 3 else "") for i in range(20_000)]
    expected = merged(read_counts(_write(tmp_path / "a", lines), Counter()))
    monkeypatch.setattr(count_files, "BATCH_LINES", 700)
    monkeypatch.setattr("metaclip.metadata.wikipedia.chunks.CHUNK_BYTES", 5000)
    rng.shuffle(lines)
    assert merged(read_counts(_write(tmp_path / "b", lines), Counter())) == expected


@pytest.mark.parametrize(
    "line",
    [
        "red",
        "x\tred",
        "0\tred",
        "-1\tred",
        "3\t",
        "3\tred fox",
        "3\ta\tb\tc",
        "3\ta\t",
        "1.5\tred",
        "٣\tred",
        " 3\tred",
    ],
)
def test_a_malformed_line_is_counted_and_left_out(tmp_path: Path, line: str) -> None:
    counts: Counter[str] = Counter()
    words, pairs = merged(read_counts(_write(tmp_path / "a", [*(f"2\tw{i}" for i in range(300)), line]), counts))
    assert (len(words), len(pairs), counts["malformed_lines"]) == (300, 0, 1)


def test_the_first_malformed_line_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 of 3 lines .*line 4 is 'den\\t7'"):
        read_counts(_write(tmp_path / "a", ["7\tred", "", "5\tfox", "den\t7"]), Counter())


@pytest.mark.parametrize("lines", [["<html>", "<p>not found</p>"], ["the\t500", "of\t300"], [*LINES, "x"]])
def test_a_file_of_another_form_is_refused(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(InputError, match=r"lines are not `count<TAB>word`"):
        read_counts(_write(tmp_path / "a", lines), Counter())


def test_an_empty_or_unfinished_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        read_counts(_write(tmp_path / "a", []), Counter())
    path = Path(_write(tmp_path / "a.gz", LINES * 100))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="in the middle of its data"):
        read_counts(str(path), Counter())
