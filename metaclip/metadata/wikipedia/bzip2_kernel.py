"""A block of bzip2, twice as fast as by the library.

What takes most time is to follow the order of a block's bytes from one to the next through a table of
megabytes, where each step waits for memory. So the order is followed from many places at once, and the
parts are put together. A block that is in any way not as compressors write it is left to the library.
Format: https://en.wikipedia.org/wiki/Bzip2#File_format.

Equals `bz2`; held by tests/metaclip/metadata/wikipedia/test_bzip2.py.
"""

import numpy as np
from isal import isal_zlib

from metaclip.kernels.jit import frozen, kernel
from metaclip.kernels.memory import bare, copy_bytes, first_bit, put_word, word_at
from metaclip.kernels.types import Bytes, HalfShorts, HalfWords, Int, Ints, Truth, Word, Words

LANES = 16
"""Places that the order of a block is followed from at once."""

MOST_BYTES = 900_000
"""Bytes of a block after its runs were shortened."""

_HEADER_BITS = 48 + 32  # the magic, and the checksum
_CODES = 258  # two for runs, 255 for places in the list of recent bytes, and the end
_TABLES = 6
_GROUP = 50  # codes that are read by one table
_LONGEST = 20  # bits of a code
_SHORT = 10  # bits of a code that is found in one step
_BEYOND = 48  # half words of zeros after the data; a group of codes may be read beyond it before that is noticed
_EVERY = 1024  # places of the order from one where a part begins to the next
_PARTS = MOST_BYTES // _EVERY + 2
_PLACE = np.uint32(0xFFFFF)
_LAST = np.uint32(1 << 31)  # marks the last byte of a part
_MARGIN = 16  # bytes beyond those of a block that may be read and written

# The checksum takes the bits of each byte from the highest on, and that of zlib from the lowest.
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Unpacker:
    """Decompresses blocks; holds the memory that this takes: 21 MB, and more for blocks of long runs."""

    def __init__(self) -> None:
        self._order = np.zeros(MOST_BYTES, np.uint32)
        self._lanes = np.zeros(LANES * MOST_BYTES, np.uint8)
        self._parts = np.zeros((_PARTS, 3), np.int64)
        self._flat = np.zeros(MOST_BYTES + _MARGIN, np.uint8)
        self._whole = np.zeros(2 * MOST_BYTES, np.uint8)

    def unpack(self, data: bytes, first: int, bits: int) -> bytes | None:
        """Return the content of a block; None if it is left to the library.

        Args:
            data: what has the block's bits.
            first: the bit of the first byte where the block begins, from 0 to 7.
            bits: number of bits, up to the next block or the end of the stream.
        """
        size, begin = _read_order(_half_words(data), first, bits, self._order)
        if not size or not _follow(self._order, begin, size, self._lanes, self._parts, self._flat):
            return None
        length = _expand(self._flat, size, self._whole)
        if length + _MARGIN > len(self._whole):
            self._whole = np.zeros(length + _MARGIN, np.uint8)
            length = _expand(self._flat, size, self._whole)
        content = self._whole[: max(length, 0)].tobytes()
        stated = int.from_bytes(data[: _HEADER_BITS // 8 + 1]) >> (8 - first) & 0xFFFFFFFF
        found = int(f"{isal_zlib.crc32(content.translate(_MIRRORED)):032b}"[::-1], 2)
        return content if length > 0 and found == stated else None


def _half_words(data: bytes) -> HalfWords:
    """Return bytes as numbers of 32 bits, the first byte in the highest ones, with zeros behind."""
    padded = data + bytes(-len(data) % 4 + 4 * _BEYOND)
    return frozen(np.frombuffer(padded, ">u4"), np.uint32)


@kernel
def _bits_at(words: HalfWords, bit: Int, count: Int) -> Int:
    """Return at most 32 bits from a bit on; zero beyond the data."""
    at = bit >> 5
    if at + 1 >= len(words):
        return 0
    both = np.uint64(words[at]) << np.uint64(32) | np.uint64(words[at + 1])
    return np.int64(both << np.uint64(bit & 31) >> np.uint64(64 - count))


@kernel
def _read_codes(
    words: HalfWords, bit: Int, tables: Int, symbols: Int, quick: HalfShorts, limits: Ints, slow: HalfShorts
) -> Int:
    """Read the tables of codes; return the bit after them, 0 where codes are missing or ambiguous.

    Args:
        words: the data.
        bit: where the tables begin.
        tables: their number.
        symbols: how many symbols have a code.
        quick: gets, for each table and each SHORT bits, the length of the code that they begin with times 512
            plus its symbol; 0 for a longer code.
        limits: int64[tables, LONGEST + 1, 2]: gets, for each length, the first code behind those of this length as
            LONGEST bits, and what must be added to a code of this length for its place in `slow`.
        slow: gets the symbols of each table in the order of their codes.
    """
    lengths = np.zeros(_CODES, np.int64)
    for table in range(tables):
        length = _bits_at(words, bit, 5)
        bit += 5
        of_length = np.zeros(_LONGEST + 1, np.int64)
        for symbol in range(symbols):
            while True:
                if length < 1 or length > _LONGEST:
                    return 0
                step = _bits_at(words, bit, 2)
                if step < 2:
                    bit += 1
                    break
                bit += 2
                length += 1 if step == 2 else -1
            lengths[symbol] = length
            of_length[length] += 1
        code, place = 0, 0
        for bits in range(1, _LONGEST + 1):
            limits[table, bits, 1] = place - code
            for symbol in range(symbols):
                if lengths[symbol] != bits:
                    continue
                slow[table * _CODES + place] = symbol
                place += 1
                if bits <= _SHORT:
                    wide = 1 << _SHORT - bits
                    begin = code * wide
                    if begin + wide > 1 << _SHORT:
                        return 0
                    for i in range(begin, begin + wide):
                        quick[(table << _SHORT) + i] = bits << 9 | symbol
                code += 1
            limits[table, bits, 0] = code << _LONGEST - bits
            code <<= 1
        # Complete codes alone mean the same to every decoder.
        if code != 2 << _LONGEST:
            return 0
    return bit


@kernel
def _read_order(words: HalfWords, first: Int, bits: Int, order: HalfWords) -> tuple[Int, Int]:
    """Read a block up to the order of its bytes; return their number, and the place of the last in `order`.

    The number is 0 if the block is left to the library. `order` gets, for each place, a byte, in the bits above it
    the place of the following one, and _LAST if a part begins with that.
    """
    bit = first + _HEADER_BITS
    begin = _bits_at(words, bit, 25)  # with the bit before, which is set where bytes were changed at random
    used = _bits_at(words, bit + 25, 16)
    bit += 41
    # The list of recent bytes: eight in a word, the most recent in the lowest bits.
    recent = np.zeros(32, np.uint64)
    count = 0
    for high in range(16):
        if used >> (15 - high) & 1:
            low_used = _bits_at(words, bit, 16)
            bit += 16
            for low in range(16):
                if low_used >> (15 - low) & 1:
                    recent[count >> 3] |= np.uint64(high << 4 | low) << np.uint64((count & 7) << 3)
                    count += 1
    tables = _bits_at(words, bit, 3)
    groups = _bits_at(words, bit + 3, 15)
    bit += 18
    if begin >= MOST_BYTES or count == 0 or tables < 2 or tables > _TABLES or groups == 0:
        return 0, 0
    chosen = np.zeros(groups, np.uint8)
    turn = np.empty(_TABLES, np.int64)
    for table in range(_TABLES):
        turn[table] = table
    for group in range(groups):
        place = 0
        while _bits_at(words, bit, 1):
            place += 1
            bit += 1
            if place == tables:
                return 0, 0
        bit += 1
        table = turn[place]
        for i in range(place, 0, -1):
            turn[i] = turn[i - 1]
        turn[0] = table
        chosen[group] = table
    quick = np.zeros(_TABLES << _SHORT, np.uint16)
    slow = np.zeros(_TABLES * _CODES, np.uint16)
    limits = np.zeros((_TABLES, _LONGEST + 1, 2), np.int64)
    bit = _read_codes(words, bit, tables, count + 2, quick, limits, slow)
    if bit == 0:
        return 0, 0
    starts = np.zeros(256, np.int64)
    size, end = _read_bytes(words, bit, first + bits, chosen, quick, limits, slow, count + 1, recent, starts, order)
    if end != first + bits or begin >= size:
        return 0, 0
    at = 0
    for byte in range(256):
        number = starts[byte]
        starts[byte] = at
        at += number
    places, begins = bare(order), bare(starts)
    for i in range(size):
        own = np.int64(places[i] & np.uint32(255))
        place = begins[own]
        begins[own] = place + 1
        places[place] |= np.uint32(i << 8) | (_LAST if i % _EVERY == 0 else np.uint32(0))
    return size, begin


@kernel
def _read_bytes(
    words: HalfWords,
    bit: Int,
    until: Int,
    chosen: Bytes,
    quick: HalfShorts,
    limits: Ints,
    slow: HalfShorts,
    last: Int,
    recent: Words,
    counts: Ints,
    order: HalfWords,
) -> tuple[Int, Int]:
    """Read the bytes of a block, sorted as they are; return their number, and the bit after the code of the end.

    The bit is 0 if there is no such code, or too many bytes. `counts` gets how often each byte occurs.
    """
    data, found, list_of, number_of, target = bare(words), bare(quick), bare(recent), bare(counts), bare(order)
    following = bit >> 5
    held = 32 - (bit & 31)
    pool: Word = np.uint64(data[following]) << np.uint64(64 - held)
    following += 1
    size = 0
    run, weight = 0, 1
    for group in range(len(chosen)):
        if following << 5 > until + 96:
            return 0, 0
        table = np.int64(chosen[group])
        base = table << _SHORT
        for _ in range(_GROUP):
            if held < 32:
                pool |= np.uint64(data[following]) << np.uint64(32 - held)
                following += 1
                held += 32
            entry: Int = np.int64(found[base + np.int64(pool >> np.uint64(64 - _SHORT))])
            length, symbol = entry >> 9, entry & 511
            if length == 0:
                code = np.int64(pool >> np.uint64(64 - _LONGEST))
                length = _SHORT + 1
                while code >= limits[table, length, 0]:
                    length += 1
                symbol = np.int64(slow[table * _CODES + (code >> _LONGEST - length) + limits[table, length, 1]])
            pool <<= np.uint64(length)
            held -= length
            if symbol < 2:
                # Digits of the length of a run: 1 and 2 times the powers of two.
                run += weight << symbol
                weight <<= 1
                if run > MOST_BYTES:
                    return 0, 0
                continue
            if run:
                if size + run > MOST_BYTES:
                    return 0, 0
                byte = list_of[0] & np.uint64(255)
                for i in range(size, size + run):
                    target[i] = np.uint32(byte)
                number_of[np.int64(byte)] += run
                size += run
                run, weight = 0, 1
            if symbol == last:
                return size, (following << 5) - held
            if size == MOST_BYTES:
                return 0, 0
            place = symbol - 1
            word = place >> 3
            shift = np.uint64((place & 7) << 3)
            moved = list_of[word]
            byte = moved >> shift & np.uint64(255)
            carry = byte
            for i in range(word):
                passed = list_of[i]
                list_of[i] = passed << np.uint64(8) | carry
                carry = passed >> np.uint64(56)
            mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> (np.uint64(56) - shift)
            list_of[word] = (moved & ~mask) | ((moved << np.uint64(8) | carry) & mask)
            target[size] = np.uint32(byte)
            number_of[np.int64(byte)] += 1
            size += 1
    return 0, 0


@kernel
def _follow(order: HalfWords, last: Int, size: Int, lanes: Bytes, parts: Ints, flat: Bytes) -> Truth:
    """Write the bytes of a block in their order to `flat`; return whether all of them are in one circle.

    Args:
        order: as `_read_order` gives it.
        last: place of the last byte, which the first follows.
        size: number of bytes.
        lanes: uint8[LANES * MOST_BYTES], gets the parts that each lane has followed, one after another.
        parts: int64[_PARTS, 3], gets where each part begins and ends in `lanes`, and which one comes after it.
            The first one begins with the first byte, the others at every `_EVERY`th place.
        flat: gets the bytes.
    """
    first = np.int64(order[last] >> np.uint32(8) & _PLACE)
    order[last] |= _LAST
    number = 1 + (size + _EVERY - 1) // _EVERY
    at, doing = np.zeros(LANES, np.uint32), np.empty(LANES, np.int64)
    for lane in range(LANES):
        doing[lane] = -1
    places, target, now = bare(order), bare(lanes), bare(at)
    step = begun = open_lanes = 0
    any_last = _LAST
    while True:
        if any_last & _LAST:
            for lane in range(LANES):
                part, place = doing[lane], np.int64(at[lane])
                if part >= 0:
                    if place % _EVERY and place != first:
                        continue
                    parts[part, 1] = lane * MOST_BYTES + step
                    parts[part, 2] = 0 if place == first else 1 + place // _EVERY
                    doing[lane] = -1
                    open_lanes -= 1
                if begun < number:
                    at[lane] = first if begun == 0 else (begun - 1) * _EVERY
                    parts[begun, 0] = lane * MOST_BYTES + step
                    doing[lane] = begun
                    open_lanes += 1
                    begun += 2 if begun * _EVERY == first else 1  # the first part is there already
            if open_lanes == 0:
                break
        any_last = np.uint32(0)
        for lane in range(LANES):
            found = places[now[lane]]
            target[lane * MOST_BYTES + step] = np.uint8(found & np.uint32(255))
            now[lane] = found >> np.uint32(8) & _PLACE
            any_last |= found
        step += 1
    done = part = 0
    while True:
        begin, end = parts[part, 0], parts[part, 1]
        copy_bytes(lanes, begin, end - begin, flat, done)
        done += end - begin
        part = parts[part, 2]
        if part == 0:
            return done == size


@kernel
def _expand(flat: Bytes, size: Int, whole: Bytes) -> Int:
    """Write bytes with their runs to `whole`; return their number, or -1 if the last run has no length.

    After four equal bytes follows the number of those that were left out. Nothing is written beyond `whole`;
    where it is too short for the number and a margin, call again with a longer one.
    """
    room = len(whole) - _MARGIN
    at = length = 0
    while at < size:
        if at + 9 <= size:
            # Three equal neighbours one after another, for each of the first six bytes.
            equal = word_at(flat, at) ^ word_at(flat, at + 1)
            equal |= equal >> np.uint64(8) | equal >> np.uint64(16) | np.uint64(0xFFFF000000000000)
            zero = (equal - np.uint64(0x0101010101010101)) & ~equal & np.uint64(0x8080808080808080)
            if length <= room:
                put_word(whole, length, word_at(flat, at))
            if not zero:
                at += 6
                length += 6
                continue
            passed = first_bit(zero) >> 3
            at += passed
            length += passed
        elif at + 4 > size or flat[at] != flat[at + 1] or flat[at] != flat[at + 2] or flat[at] != flat[at + 3]:
            if length <= room:
                whole[length] = flat[at]
            at += 1
            length += 1
            continue
        if at + 4 >= size:
            return -1
        more: Int = 4 + np.int64(flat[at + 4])
        if length + more <= room:
            for i in range(length, length + more):
                whole[i] = flat[at]
        at += 5
        length += more
    return length
