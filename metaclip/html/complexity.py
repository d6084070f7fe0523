"""Pages whose tree would take some ten seconds or more to build: they are refused."""

import math
import re

import numpy as np
import numpy.typing as npt

from metaclip.html.message import PageError
from metaclip.kernels.jit import frozen, kernel, plain
from metaclip.kernels.memory import byte_at, count_bits, equal_at, first_bit
from metaclip.kernels.types import LANES, Bytes, Flags, Int, Ints, Truth

# For each tag the parser walks the elements that are open, for each attribute those of its tag that
# came before, at 3 ns a step. A tag takes three bytes or more, an attribute two.
_MAX_STEPS = 3_000_000_000
_SMALL = 100_000
_MANY_TAGS = math.isqrt(_MAX_STEPS)
_MAX_ATTRIBUTES = 30_000
_WINDOW = _MAX_ATTRIBUTES
_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# Elements without an end tag, and those that the next of their kind ends.
_NOT_NESTED = frozenset(
    b"area base br col embed hr img image input link meta param source track wbr"
    b" p li dd dt tr td th thead tbody tfoot option optgroup rt rp".split()
)


def check_complexity(html: bytes | memoryview) -> None:
    """Refuse pages whose tree would take some ten seconds or more to build.

    Raises:
        PageError: `too_complex`
    """
    if (
        len(html) > _SMALL
        and (plain() or _is_suspect(frozen(np.frombuffer(html, np.uint8), np.uint8)))
        and _is_too_complex(bytes(html))
    ):
        raise PageError("too_complex")


def _is_too_complex(html: bytes) -> bool:
    if len(html) > 3 * _MANY_TAGS:
        tags = html.count(b"<")
        if tags > _MANY_TAGS and tags * _depth(html) > _MAX_STEPS:
            return True
    # Text files served as HTML may hold one `<word` and no `>`: all words to the end are attributes.
    position = 0
    while position + _WINDOW <= len(html):
        if html.find(b">", position, position + _WINDOW) >= 0:
            position += _WINDOW
            continue
        start = html.rfind(b">", 0, position) + 1
        end = html.find(b">", position)
        end = len(html) if end < 0 else end
        tag = _TAG.search(html, start, end)
        if tag and len(html[tag.end() : end].split()) > _MAX_ATTRIBUTES:
            return True
        position = end
    return False


def _depth(html: bytes) -> int:
    """Estimate how many elements are open at once, at most."""
    depth = deepest = 0
    for tag in _TAG.finditer(html):  # all at once would take a hundred bytes for each
        if tag[2].lower() in _NOT_NESTED:
            continue
        if tag[1]:
            depth = max(0, depth - 1)
        else:
            depth += 1
            deepest = max(deepest, depth)
    return deepest


_LESS, _MORE = ord("<"), ord(">")
_NONE = np.uint64(0)


@kernel
def _count_byte(data: Bytes, byte: Int) -> Int:
    """Count how often a byte occurs."""
    count, at = 0, 0
    while at + LANES <= data.size:
        count += count_bits(equal_at(data, at, byte))
        at += LANES
    while at < data.size:
        count += byte_at(data, at) == byte
        at += 1
    return count


@kernel
def _find_byte(data: Bytes, at: Int, byte: Int) -> Int:
    """Return where a byte comes next, or the end."""
    while at + LANES <= data.size:
        bits = equal_at(data, at, byte)
        if bits != _NONE:
            return at + first_bit(bits)
        at += LANES
    while at < data.size and byte_at(data, at) != byte:
        at += 1
    return at


@kernel
def _find_last_byte(data: Bytes, byte: Int) -> Int:
    """Return where a byte comes last, or -1."""
    at = data.size
    while at >= LANES and equal_at(data, at - LANES, byte) == _NONE:
        at -= LANES
    while at > 0 and byte_at(data, at - 1) != byte:
        at -= 1
    return at - 1


@kernel
def _has_many_words(data: Bytes) -> Truth:
    """Tell whether there are more words than a tag may have attributes."""
    words, before = 0, True
    for byte in data:
        blank = byte == 0x20 or 0x09 <= byte <= 0x0D
        words += before and not blank
        before = blank
    return words > _MAX_ATTRIBUTES


@kernel
def _is_suspect(page: Bytes) -> Truth:
    """Tell whether a page may be too complex; `_is_too_complex` decides."""
    if page.size > 3 * _MANY_TAGS and _count_byte(page, _LESS) > _MANY_TAGS:
        return True
    position = 0
    while position + _WINDOW <= page.size:
        end = _find_byte(page, position, _MORE)
        if end < position + _WINDOW:
            position += _WINDOW
            continue
        start = _find_byte(page[:end], _find_last_byte(page[:position], _MORE) + 1, _LESS)
        # Two words take three bytes.
        if end - start > 2 * _MAX_ATTRIBUTES and _has_many_words(page[start:end]):
            return True
        position = end
    return False


@kernel
def _suspects(data: Bytes, added: Bytes, places: Ints, suspects: Flags) -> None:
    for page in range(places.shape[0]):
        start, end = places[page, 0], places[page, 1]
        if end - start > _SMALL:
            source = added if places[page, 2] else data
            suspects[page] = _is_suspect(source[start:end])


def find_suspects(
    data: npt.NDArray[np.uint8], added: npt.NDArray[np.uint8], places: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the numbers of the pages that `check_complexity` is to be asked about; it lets the others pass.

    Pages are given as `scanner.scan_places` takes them.
    """
    if plain():
        return np.flatnonzero(places[:, 1] - places[:, 0] > _SMALL)
    suspects = np.zeros(len(places), np.bool_)
    _suspects(data, added, places, suspects)
    return np.flatnonzero(suspects)
