"""Run every kernel on hostile input: `NUMBA_BOUNDSCHECK=1 python -m tests.metaclip.kernels.checked`.

With NUMBA_BOUNDSCHECK numba compiles a check of every index, and `metaclip.kernels.memory` one of every place
that it reads or writes. So this runs in a process of its own, with a cache of its own; it is one process, as
what takes time is to compile. Results are compared with the definitions where there are any. Prints as JSON
what went wrong in each part, and which kernels were compiled, so that `test_bounds` can tell that all were.
"""

import bz2
import gzip
import json
import pkgutil
import random
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import xxhash
from numba import njit

import metaclip
from metaclip.kernels import llvm, memory
from metaclip.kernels.jit import Kernel, compiler


def exact(data: bytes) -> Any:
    """Return a read-only array with nothing behind it that belongs to it."""
    array = np.frombuffer(data, np.uint8).copy()
    array.flags.writeable = False
    return array


def outside(call: Callable[..., Any], *arguments: Any) -> None:
    """Make sure that a call is noticed to read or write beyond an array."""
    try:
        call(*arguments)
    except IndexError:
        return
    raise AssertionError(f"{call} reads beyond an array, and that is not noticed")


def damaged(rng: random.Random, data: bytes, pieces: list[bytes]) -> bytes:
    """Return data with bytes changed, cut, put in and repeated."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at, size = rng.randrange(len(changed) + 1), rng.randrange(1, 12)
        match rng.randrange(4):
            case 0:
                del changed[at : at + size]
            case 1:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 2:
                changed[at:at] = rng.choice(pieces)
            case _:
                changed[at:at] = changed[at : at + 4 * size]
    return bytes(changed)


def memory_is_checked() -> None:
    """Each way to reach memory, right at the ends of an array and one byte farther."""
    sizes = {
        memory.byte_at: 1,
        memory.half_word_at: 4,
        memory.word_at: 8,
        memory.put_word: 8,
        memory.equal_at: memory.LANES,
        memory.low_or_at: memory.LANES,
        memory.tag_at: memory.WIDE_LANES,
        memory.wide_equal_at: memory.WIDE_LANES,
        memory.wide_less_at: memory.WIDE_LANES,
    }
    more: dict[Any, tuple[Any, ...]] = {
        memory.put_word: (np.uint64(7),),
        memory.equal_at: (34,),
        memory.low_or_at: (34, 35, 36),
        memory.wide_equal_at: (34,),
        memory.wide_less_at: (34,),
    }
    compiler()  # it tells numba what these are
    data = np.full(100, 34, np.uint8)
    for reach, size in sizes.items():
        compiled = njit(_passing(reach, len(more.get(reach, ()))))
        for place in (0, 100 - size):
            compiled(data.copy(), place, *more.get(reach, ()))
        for place in (-1, 101 - size, 100, 1 << 40):
            outside(compiled, data.copy(), place, *more.get(reach, ()))
    copied = njit(lambda source, p, target, write: memory.copy_lanes(source, p, target, write, 1, 2, 3))
    copied(data, 0, data.copy(), 68)
    for place, write in ((-1, 0), (69, 0), (0, -1), (0, 69)):
        outside(copied, data, place, data.copy(), write)
    address = njit(lambda data, place, size: memory.address_of(data, place, size))
    assert address(data, 40, 60) == address(data, 0, 0) + 40
    outside(address, data, 40, 61)
    for size in range(20):
        target = np.zeros(20, np.uint8)
        memory.copy_bytes(data, 100 - size, size, target, 20 - size)
        assert target.sum() == 34 * size
        if size:
            outside(memory.copy_bytes, data, 100 - size, size, target, 21 - size)
            outside(memory.copy_bytes, data, 101 - size, size, target, 20 - size)


def _passing(reach: Any, more: int) -> Any:
    if more == 3:
        return lambda data, place, a, b, c: reach(data, place, a, b, c)
    if more == 1:
        return lambda data, place, a: reach(data, place, a)
    return lambda data, place: reach(data, place)


def pages_of_html() -> None:
    """Cases and tag soup, whole and cut off anywhere, one by one, and two together."""
    from metaclip.html import scanner
    from tests.metaclip.html import html_fuzz
    from tests.metaclip.html.test_scanner import CASES, ONLY_TREES, scanned

    for end in (b"<p", b"<p>", b"<p a=b", b"<!-- ", b"<img src=x>", b"<script>x"):
        with patch.object(scanner, "PADDING", 0):
            outside(scanned, [end])
    pages = [case.encode() for case in CASES + ONLY_TREES]
    pages += [page[:end] for page in pages for end in range(0, len(page), 3)]
    for batch in html_fuzz.pages(2, 400, []):
        pages += batch
    for html in pages:
        scanned([html])
        scanned([html, html])


def responses() -> None:
    """Heads and meta tags of any kind, cut off anywhere, and bodies whose complexity is looked at."""
    from tests.metaclip.html import response_fuzz
    from tests.metaclip.html.test_complexity import at_random, suspects
    from tests.metaclip.html.test_responses import HEAD, LIMIT, batch, check

    blocks = [*response_fuzz.responses(2, 400, LIMIT), *(HEAD[:end] for end in range(len(HEAD)))]
    blocks += [HEAD + meta.encode()[:end] for meta in response_fuzz.METAS for end in range(0, len(meta), 5)]
    blocks += [HEAD + b"<a " + b"w " * 60_000 + end for end in (b"", b">", b">" + b"x" * 30_000)]
    blocks += [HEAD + b"<b>" * 60_000, HEAD + b"x" * 70_000 + b"<a " + b"w" * 70_000]
    for block in blocks:
        check(batch([block]), 1 << 20)
    rng = random.Random(2)
    suspects([at_random(rng) for _ in range(20)])


def wat_records() -> None:
    """Mutated records give what the definition gives."""
    from metaclip.wat.string_kernel import LANES, find_quotes
    from tests.metaclip.wat.test_scanner import check, mutated, small_records

    quotes, places = np.full(3 * LANES, 34, np.uint8), np.empty(LANES, np.int32)
    outside(find_quotes, quotes, np.array([[0, 2 * LANES]]), places, np.zeros(1, np.int64))
    records = mutated(small_records(), 3, 2000)
    for first in range(0, len(records), 50):
        check(records[first : first + 50])


def images_of_pages() -> None:
    """Mutated attributes give what the definition gives."""
    from metaclip.pairs.assembly_kernel import clean
    from tests.metaclip.pairs.test_assembly import check, mutated

    outside(clean, np.ones(1, np.uint8), 0, 9, np.ones(30, np.uint8), 0)
    pages = mutated(2, 1000)
    check([f"http://x.org/{i % 7}/b" for i in range(1000)], [None] * 1000, pages)
    check([f"http://x.org/{i % 7}/b" for i in range(1000)], [None, "c/"] * 500, pages)


def languages() -> None:
    """Words, bytes of any kind and long texts get fastText's labels and scores."""
    from metaclip.language import kernel
    from tests.metaclip.language.test_kernel import EDGES, MODEL, WORDS, check, mutated, packed

    long = [b"tion" * 5000, "й".encode() * 3000, b"\x80" * 3000, b"the " * 3000]
    check([*EDGES, *WORDS[::10], *long, *mutated(4, 3_000)])
    n = len(WORDS)
    kernel.fill_words(
        MODEL.tables.word_data,
        MODEL.tables.word_bounds,
        np.zeros(1 << (2 * n).bit_length(), np.int32),
        np.empty(n, np.uint32),
    )
    short = MODEL.tables.present[:100].copy()
    short.flags.writeable = False
    outside(kernel.identify, *packed(EDGES), MODEL.tables._replace(present=short))


def archives() -> None:
    """Records cut off anywhere with nothing behind them, and damaged archives, are read as one by one."""
    from metaclip.archive.batch_kernel import find_records
    from metaclip.archive.batches import _names
    from tests.metaclip.archive.test_batches import check
    from tests.metaclip.archive.test_records import record

    whole = record(1, b"<p>") + record(2, kind="request") + record(3, b"")
    found = np.empty((9, 5), np.int64)
    for end in range(len(whole) + 1):
        for last in (False, True):
            find_records(exact(whole[:end]), 0, end, last, *_names(), found)
    outside(find_records, exact(whole), 0, len(whole) + 20, False, *_names(), found)
    rng = random.Random(3)
    pieces = [
        b"\r\n",
        b"\n",
        b"\r",
        b":",
        b" ",
        b"\t",
        b"WARC/1.0\r\n",
        b"WARC-Type: response\r\n",
        b"Content-Length: 9",
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.warc.gz")
        for _ in range(150):
            parts = [record(i, b"body %d" % i * i) for i in range(4)]
            odd = rng.randrange(4)
            parts[odd] = damaged(rng, parts[odd], pieces)
            find_records(exact(parts[odd]), 0, len(parts[odd]), True, *_names(), found)
            path.write_bytes(b"".join(map(gzip.compress, parts)))
            check(path)
            packed = damaged(rng, b"".join(map(gzip.compress, parts)), [b"\0", b"\x1f\x8b\x08"])
            path.write_bytes(b"\x1f\x8b" + packed[2:])
            check(path)


def hashes() -> None:
    """Every length at the very end of an array gives the hash of the package xxhash; columns give uids."""
    import pyarrow as pa

    from metaclip.kernels.xxh3 import hash_bytes
    from metaclip.pairs.uid_columns import uid_columns
    from metaclip.pairs.uids import uids

    data = np.random.default_rng(0).bytes(3100)
    for length in [*range(1200), 2047, 2048, 2049, 3071, 3072, 3073]:
        assert int(hash_bytes(exact(data[:length]), 0, length)) == xxhash.xxh3_64_intdigest(data[:length])
        if length:
            outside(hash_bytes, exact(data[: length - 1]), 0, length)
    rng = random.Random(4)
    for count in (0, 1, 50):
        urls, texts = (["é" * rng.choice((0, 3, 90)) + "x" * rng.randrange(9) for _ in range(count)] for _ in range(2))
        columns = uid_columns(pa.array(urls, pa.string()), pa.array(texts, pa.string()))
        assert [column.tolist() for column in columns] == [half.tolist() for half in uids(urls, texts)]


def matches() -> None:
    """Entries and texts of odd characters and of any length match as the definition says."""
    from metaclip.matching.matcher import Matcher
    from tests.metaclip.matching import test_matcher as tests

    rng = random.Random(5)

    def strings(count: int) -> list[str]:
        return [
            "".join(rng.choices(tests.ALPHABET, k=rng.randrange(13)))
            if rng.random() < 0.5
            else " ".join(rng.choices(tests.WORDS, k=rng.randrange(6)))
            for _ in range(rng.randrange(count))
        ]

    for _ in range(400):
        entries, texts = strings(13), strings(9)
        assert tests.as_lists(Matcher(entries).match(texts)) == tests.by_definition(entries, texts)
    tests.test_texts_and_entries_longer_than_any_window()
    tests.test_no_entries_and_no_texts()
    many = [str(i) for i in range(3000)]
    assert tests.as_lists(Matcher(many).match([" ".join(many * 40)])) == [list(range(3000))]


def matches_of_tokens() -> None:
    """The same by characters and words, in scripts without spaces and odd ones."""
    from tests.metaclip.matching import test_boundaries as tests

    rng = random.Random(9)

    def strings(count: int) -> list[str]:
        return ["".join(rng.choices(tests.ODD, k=rng.randrange(14))) for _ in range(rng.randrange(1, count))]

    for _ in range(60):
        entries, texts = sorted(set(strings(12))), strings(9)
        costs = tests.random_costs(len(entries), rng.randrange(1000))
        for rule in tests.RULES:
            given = costs if rule == "words" else None
            expected = tests.match_tokens_by_definition(entries, texts, rule, given)
            assert tests.fast(entries, texts, rule, given) == expected
    tests.test_short_texts_are_walked_together_and_nothing_goes_from_one_to_the_next()
    tests.test_short_texts_with_more_matches_than_there_is_room_for()
    tests.test_keys_that_stand_at_other_slots_than_their_first()


def word_counts() -> None:
    """Texts of odd characters, and more words than the tables hold, are counted as by the plain way."""
    from tests.metaclip.metadata.wikipedia import test_ngrams as tests

    rng = random.Random(6)
    alphabet = [*"aaabcé'’“”()-–.,:;!?` \t\n\u00a0\ufffc=*0x", "𝛼", "漢", "𠀀", "😀", "ß", "\u200b", "\x85"]
    for _ in range(60):
        texts = ["".join(rng.choices(alphabet, k=rng.randrange(80))) for _ in range(4)]
        assert tests.counted(texts) == tests.by_oracle(texts)
    tests.test_a_token_too_long_is_no_word_and_is_counted()
    tests.test_a_text_larger_than_the_tables_loses_no_pair()
    wide = [chr(0x20000 + i) * rng.randrange(1, 101) for i in range(4000)]
    assert tests.counted([" ".join(wide)]) == tests.by_oracle([" ".join(wide)])


def bzip2_blocks() -> None:
    """Blocks at any bit, and bytes of any kind, cut off anywhere."""
    from metaclip.errors import InputError
    from metaclip.metadata.wikipedia.bzip2 import BLOCK, END, _find_magics, read_blocks
    from metaclip.metadata.wikipedia.bzip2_kernel import _MARGIN, Unpacker, _expand

    rng = random.Random(7)
    for before in range(30):
        for magic in (BLOCK, END):
            for cut in (0, 1, 3):
                bits = (magic << 24) >> before % 8
                data = bytes(before // 8) + bits.to_bytes(9 + before // 8)[: 9 - cut]
                for start in range(3):
                    _find_magics(exact(data), start)
    unpacker = Unpacker()
    # The head of a block has its tables of codes, which decide about all that follows.
    for content in (rng.randbytes(900), b"a" * 3000, b"ab" * 500 + rng.randbytes(9)):
        packed = bz2.compress(content)
        for length in range(11, len(packed), 7):
            unpacker.unpack(packed[4:length], 0, 8 * (length - 4))
        for _ in range(150):
            head = damaged(rng, packed[14:200], [bytes(3), b"\xff" * 40])
            data = packed[4:14] + head + packed[200:]
            unpacker.unpack(data, rng.randrange(8), 8 * len(data) - rng.randrange(90))
    for size in range(40):
        flat = exact(bytes(rng.choices(b"ab", [9, 1], k=size + _MARGIN)))
        for room in range(0, 60, 7):
            _expand(flat, size, np.zeros(room + _MARGIN, np.uint8))
    packed = bz2.compress(rng.randbytes(3000)) + bz2.compress(b"a" * 3000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.bz2")
        for _ in range(60):
            path.write_bytes(damaged(rng, packed, [b"BZh9", BLOCK.to_bytes(6), END.to_bytes(6)]))
            for start in (0, 1, 500):
                with suppress(InputError):
                    list(read_blocks(str(path), start))


def page_views() -> None:
    """Nothing but the shortest lines, and lines that are damaged."""
    from metaclip.metadata.wikipedia.page_views import _COUNTS, _scan_lines

    rng = random.Random(8)
    letters, bounds = exact(b"men.m"), np.array([0, 1, 1, 5])
    for line in (b"m b 1 ", b"m b 1 0", b" b 1 0", b"m  1 0", b"m b  0", b"m b 1", b"\n", b"m", b" ", b"   "):
        for count in range(30):
            for end in (b"", b"\n", b"m", b"m b", b"m b 1", b"m b 1 "):
                tallies = np.zeros(len(_COUNTS) + 2, np.int64)
                spans = _scan_lines(exact((line + b"\n") * count + end), letters, bounds, 1, tallies)
                if line.startswith(b"m b 1 "):
                    assert len(spans) == count + (end == b"m b 1 ")
    lines = b"en.m Fox 12 0\nm b 1 \nen.m F:x 999999999999999999 0\n"
    for _ in range(500):
        data = damaged(rng, lines * rng.randrange(1, 4), [b" ", b"\n", b"9", b"m b 1 \n" * 9])
        _scan_lines(exact(data), letters, bounds, 1, np.zeros(len(_COUNTS) + 2, np.int64))


def survivors() -> None:
    """Any number of survivors and of pairs, known and unknown."""
    from metaclip.pairs.uids import UIDS
    from metaclip.survivors.members import Members

    rng = np.random.default_rng(9)
    for size in (0, 1, 2, 3, 50):
        for count in (0, 1, 60):
            halves = rng.integers(0, 9, (2, size)).astype(np.uint64)
            listed = np.unique(np.array(list(zip(*halves.tolist(), strict=True)), UIDS))
            high, low = rng.integers(0, 10, (2, count)).astype(np.uint64)
            found = Members(listed, np.zeros(0, np.uint64)).contain(high, low)
            known = {tuple(uid) for uid in listed.tolist()}
            assert found.tolist() == [uid in known for uid in zip(high.tolist(), low.tolist(), strict=True)]


def balancing() -> None:
    """Pairs of any number of entries, and those that are refused."""
    from metaclip.balance.algorithm import keep_probability, min_t
    from metaclip.balance.size_ladder import SizeStatistics, t_ladder
    from tests.metaclip.balance import test_algorithm, test_counts

    counts, offsets, ids, _ = test_algorithm.pool(3)
    draws = np.random.default_rng(3).random(len(offsets) - 1)
    assert np.array_equal(
        min_t(counts, offsets, ids, draws) <= 50.0, draws <= keep_probability(counts, offsets, ids, 50.0)
    )
    test_algorithm.test_many_entries()
    test_algorithm.test_offsets_may_begin_and_end_inside_the_ids()
    test_algorithm.test_unusable_input_is_refused()
    test_counts.test_ids_beyond_the_metadata_and_other_types_are_refused()
    for largest in (1, 3, int(counts.max())):
        statistics = SizeStatistics(counts, t_ladder(largest))
        statistics.add(offsets, ids, draws)
        statistics.add(offsets[:1], ids[:0])


PARTS = [
    memory_is_checked,
    pages_of_html,
    responses,
    wat_records,
    images_of_pages,
    languages,
    archives,
    hashes,
    matches,
    matches_of_tokens,
    word_counts,
    bzip2_blocks,
    page_views,
    survivors,
    balancing,
]


def compiled_kernels() -> Iterator[str]:
    """Give the names of the kernels that were compiled in this process."""
    for module in pkgutil.walk_packages(metaclip.__path__, "metaclip."):
        if module.name in sys.modules:
            for name, value in vars(import_module(module.name)).items():
                if isinstance(value, Kernel) and value.__module__ == module.name and value.is_compiled:
                    yield f"{module.name}.{name}"


if __name__ == "__main__":
    assert llvm.CHECKED, "NUMBA_BOUNDSCHECK is not set"
    errors: dict[str, str] = {}
    for part in PARTS:
        try:
            part()
        except Exception:  # noqa: BLE001
            errors[part.__name__] = traceback.format_exc()
    json.dump({"errors": errors, "compiled": sorted(compiled_kernels())}, sys.stdout)
