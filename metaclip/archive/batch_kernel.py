"""WARC records found in a buffer, one after the other, up to the first that is odd in any way.

Equals `metaclip.archive.records`; held by tests/metaclip/archive/test_batches.py.
"""

import numpy as np
import numpy.typing as npt

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import bare, unowned, word_at
from metaclip.kernels.types import Bytes, Data, Int, Ints, Offsets, Truth

MORE, ODD = 0, 1
"""Why `find_records` stopped: the next record is not all there (or there is no room to tell of it), or is odd."""
KIND, URL, URL_END, BLOCK, BLOCK_END = range(5)
"""Columns of what `find_records` finds."""
MOST_HEAD_BYTES = 64 << 10


def _bytes(text: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8)


_VERSION, _TYPE, _LENGTH = _bytes(b"WARC/1."), _bytes(b"warc-type"), _bytes(b"content-length")
_ADDRESS = _bytes(b"warc-target-uri")
_RETURN, _FEED, _COLON, _SPACE, _TAB = 0x0D, 0x0A, ord(":"), 0x20, 0x09


_ONES, _TOPS, _ZERO = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080), np.uint64(0)
_RETURNS, _FEEDS = np.uint64(_RETURN) * _ONES, np.uint64(_FEED) * _ONES


@kernel
def _find_line_end(data: Data, at: Int, end: Int) -> Int:
    """Return where a carriage return or a line feed comes next, or the end."""
    while at + 8 <= end:
        returns = word_at(data, at) ^ _RETURNS
        feeds = word_at(data, at) ^ _FEEDS
        if ((returns - _ONES) & ~returns | (feeds - _ONES) & ~feeds) & _TOPS != _ZERO:
            break
        at += 8
    while at < end and data[at] != _RETURN and data[at] != _FEED:
        at += 1
    return at


@kernel
def _equals_lower(data: Data, start: Int, end: Int, name: Bytes) -> Truth:
    """Compare with a name in lower case, whatever the case."""
    if end - start != name.size:
        return False
    for k in range(name.size):
        byte = data[start + k]
        if (byte | 0x20 if 0x41 <= byte <= 0x5A else byte) != name[k]:
            return False
    return True


@kernel
def _read_head(data: Data, at: Int, end: Int, types: Bytes, bounds: Offsets, row: Ints) -> Truth:
    """Fill `row` for the header at `at`, which ends before `end`; return whether nothing is odd about it."""
    for k in range(_VERSION.size):
        if data[at + k] != _VERSION[k]:
            return False
    at += _VERSION.size
    if (data[at] != 0x30 and data[at] != 0x31) or data[at + 1] != _RETURN or data[at + 2] != _FEED:
        return False
    at += 3
    kind, length = np.int64(-1), np.int64(-1)
    typed = located = False
    row[URL] = row[URL_END] = 0
    while data[at] != _RETURN:
        name = at
        while 0x21 <= data[at] <= 0x7E and data[at] != _COLON:
            at += 1
        name_end = at
        if name == name_end or data[at] != _COLON:
            return False
        at += 1
        start = at
        at = stop = _find_line_end(data, at, end)
        if data[at + 1] != _FEED or data[at] != _RETURN:
            return False
        at += 2
        while start < stop and (data[start] == _SPACE or data[start] == _TAB):
            start += 1
        while start < stop and (data[stop - 1] == _SPACE or data[stop - 1] == _TAB):
            stop -= 1
        if _equals_lower(data, name, name_end, _TYPE):
            if typed:
                return False
            typed = True
            for k in range(bounds.size - 1):
                if _equals_lower(data, start, stop, types[bounds[k] : bounds[k + 1]]):
                    kind = np.int64(k)
        elif _equals_lower(data, name, name_end, _LENGTH):
            if length >= 0 or start == stop or stop - start > 15:
                return False
            length = np.int64(0)
            for k in range(start, stop):
                if data[k] < 0x30 or data[k] > 0x39:
                    return False
                length = 10 * length + data[k] - 0x30
        elif _equals_lower(data, name, name_end, _ADDRESS):
            if located:
                return False
            located = True
            row[URL], row[URL_END] = start, stop
    row[KIND], row[BLOCK], row[BLOCK_END] = kind, at + 2, at + 2 + length
    return at + 2 == end and kind >= 0 and length >= 0


@kernel
def find_records(
    data: Bytes, at: Int, end: Int, last: Truth, types: Bytes, bounds: Offsets, found: Ints
) -> tuple[Int, Int, Int, Int]:
    r"""Find the records that lie whole in data[at:end], the first of which starts at `at`.

    They are of WARC 1.0 or 1.1, of a known type, with line ends as they should be, no field twice that
    counts once, and the length that they state: where it ends is `\r\n\r\n`, and then the next one or the end.

    Args:
        data: uint8.
        at: where the first begins.
        end: where the data end.
        last: whether the data end where a record may end, as at the end of a member or of all.
        types: uint8, the known types in lower case, end to end.
        bounds: int64[types + 1], where each begins.
        found: int64[n, 5], filled with the places in `data` of address (both 0 without one) and block, and the
            type by number.

    Returns:
        How many were found, where the next one starts, MORE or ODD, and how long that one is, 0 if it is not known.
    """
    text, types, bounds, found = bare(data), unowned(types), unowned(bounds), unowned(found)
    count = 0
    while count < found.shape[0]:
        # The end of the header: what is looked at beyond it is within the data.
        head_end = _find_line_end(text, at, end)
        while head_end + 4 <= end and not (
            text[head_end] == _RETURN
            and text[head_end + 1] == _FEED
            and text[head_end + 2] == _RETURN
            and text[head_end + 3] == _FEED
        ):
            head_end = _find_line_end(text, head_end + 1, end)
        if head_end + 4 > end:
            return count, at, (ODD if end - at > MOST_HEAD_BYTES else MORE), np.int64(0)
        head_end += 4
        row = found[count]
        if not _read_head(text, at, head_end, types, bounds, row):
            return count, at, ODD, np.int64(0)
        stop = row[BLOCK_END]
        is_last = last and stop + 4 == end
        needed = stop + 4 if is_last else stop + 4 + _VERSION.size
        if needed > end:
            return count, at, MORE, needed - at
        if text[stop] != _RETURN or text[stop + 1] != _FEED:
            return count, at, ODD, np.int64(0)
        if text[stop + 2] != _RETURN or text[stop + 3] != _FEED:
            return count, at, ODD, np.int64(0)
        for k in range(0 if is_last else _VERSION.size):
            if text[stop + 4 + k] != _VERSION[k]:
                return count, at, ODD, np.int64(0)
        at = stop + 4
        count += 1
    return count, at, MORE, np.int64(0)
