"""Ready counts of words and pairs: lines of `count<TAB>word` or `count<TAB>word<TAB>word`."""

from collections import Counter

import numpy as np
import pyarrow as pa

from metaclip.errors import InputError
from metaclip.metadata.wikipedia.chunks import read_lines
from metaclip.metadata.wikipedia.count_lines import check_malformed, describe_line
from metaclip.metadata.wikipedia.sorted_counts import HeldRun, PairCounts, Run, RunSet, WordCounts

BATCH_LINES = 500_000
"""Number of lines that are sorted in memory at a time."""

_MOST = 1 << 62


def read_counts(path: str, counts: Counter[str]) -> list[Run]:
    """Return a file's counts as sorted runs; repeated lines add up.

    Words are taken as they are. A line is malformed if a word is empty or has white space in it, or if
    the count is not a positive whole number. `counts` gets `lines`, `malformed_lines`, `word_lines`,
    `pair_lines` and `tokens`, the sum of the words' counts.

    Raises:
        InputError: a damaged or truncated file, a file without lines, or more than 1 % malformed lines.
        TransportError, UnreadableFileError: as `metaclip.io.streams.open_stream`.
    """
    runs = RunSet()
    words: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    held = at = 0
    first = ""
    for piece in read_lines(path):
        for line in piece.removesuffix(b"\n").split(b"\n"):
            at += 1
            if not line:
                continue
            counts["lines"] += 1
            number, names = _parse(line)
            if not names:
                counts["malformed_lines"] += 1
                first = first or describe_line(at, line)
            elif len(names) == 1:
                counts["word_lines"] += 1
                counts["tokens"] += number
                words[names[0]] += number
            else:
                counts["pair_lines"] += 1
                pairs[names[0], names[1]] += number
            held += 1
        if held >= BATCH_LINES:
            runs.write(_sorted(words, pairs))
            words.clear()
            pairs.clear()
            held = 0
    check_malformed(path, counts, "`count<TAB>word` or `count<TAB>word<TAB>word`", first)
    if held:
        runs.write(_sorted(words, pairs))
    if counts["tokens"] >= _MOST:
        raise InputError(f"{path}: its counts add up to {counts['tokens']:,}, which is more than can be")
    return runs.runs


def _parse(line: bytes) -> tuple[int, list[str]]:
    try:
        number, *names = line.decode("utf-8").removesuffix("\r").split("\t")
    except UnicodeDecodeError:
        return 0, []
    good = number.isascii() and number.isdigit() and len(number) < 19 and int(number) > 0
    if not good or len(names) not in (1, 2) or any(len(name.split()) != 1 or name != name.strip() for name in names):
        return 0, []
    return int(number), names


def _sorted(words: Counter[str], pairs: Counter[tuple[str, str]]) -> HeldRun:
    names = sorted({*words, *(name for pair in pairs for name in pair)})
    rank = {name: number for number, name in enumerate(names)}
    keys = np.array([rank[first] << 32 | rank[second] for first, second in pairs], np.uint64)
    numbers = np.array(list(pairs.values()), np.int64)
    order = np.argsort(keys)
    totals = np.array([words[name] for name in names], np.int64)
    return HeldRun(WordCounts(pa.array(names, pa.string()), totals), PairCounts(keys[order], numbers[order]))
