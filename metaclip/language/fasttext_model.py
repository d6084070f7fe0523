"""Reading fastText's small language model, lid.176.ftz, into the arrays that the kernel works on.

Format 12 of fastText's `saveModel`, little-endian: magic and version, twelve training arguments, the
dictionary with the list of n-grams that pruning left, a product-quantised input matrix with
quantised norms, a dense output matrix. Only the shape of lid.176.ftz is taken; all that the kernel
relies on is checked here, since the kernel itself checks nothing.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.errors import OtherModelError
from metaclip.kernels.jit import frozen
from metaclip.language.kernel import BUCKETS, DEEPEST, DIM, MOST_LABELS, Tables, fill_words

_MAGIC, _FORMAT = 793712314, 12
_ARGUMENTS = ("dim", "word n-grams", "loss", "model", "buckets", "shortest n-gram", "longest n-gram")
_EXPECTED = (DIM, 1, 1, 3, BUCKETS, 2, 4)  # loss 1: hierarchical softmax, model 3: supervised
_PREFIX = b"__label__"
_END = b"</s>"
_WORD_SLOTS = 1 << 14
_CENTROIDS = 256


@dataclass(frozen=True)
class LidModel:
    """A language model as the kernel wants it, 3.8 MB for lid.176.ftz."""

    labels: tuple[str, ...]
    """Without their prefix, in the file's order."""
    tables: Tables


def read_model(path: Path) -> LidModel:
    """Read a model file of lid.176.ftz's shape.

    Raises:
        OtherModelError: where the file has another shape, or is no model at all.
        OSError: where the file cannot be read.
    """
    reader = _Reader(path)
    reader.expect("magic number and format", reader.unpack("<ii"), (_MAGIC, _FORMAT))
    dim, _, _, _, _, word_ngrams, loss, model, buckets, shortest, longest, _ = reader.unpack("<12i")
    for name, found, wanted in zip(
        _ARGUMENTS, (dim, word_ngrams, loss, model, buckets, shortest, longest), _EXPECTED, strict=True
    ):
        reader.expect(name, found, wanted)
    reader.unpack("<d")
    size, n_words, n_labels, _, n_kept = reader.unpack("<iiiqq")
    reader.expect("words and labels", n_words + n_labels, size)
    reader.require(0 < n_words <= _WORD_SLOTS // 2, f"{n_words} words")
    reader.require(1 < n_labels <= MOST_LABELS, f"{n_labels} labels")
    reader.require(0 < n_kept <= BUCKETS, f"{n_kept} n-grams kept by pruning")
    names, counts, kinds = reader.entries(size)
    reader.expect("kinds of entries", kinds, [0] * n_words + [1] * n_labels)
    reader.require(all(name.startswith(_PREFIX) and name.isascii() for name in names[n_words:]), "labels' names")
    reader.require(not any(name.startswith(_PREFIX) for name in names[:n_words]), "a word that begins as labels do")
    reader.require(_END in names[:n_words], "no end of sentence among the words")
    reader.require(len(set(names)) == size, "a word or label twice")
    kept = reader.array(np.int32, 2 * n_kept).reshape(-1, 2)
    rows = _input_rows(reader, n_words + n_kept)
    output = _output_rows(reader, n_labels)
    rows, present, before = _prune(reader, kept, rows)
    children, paths = _tree(reader, counts[n_words:])
    word_data = np.frombuffer(b"".join(names[:n_words]), np.uint8)
    word_bounds = np.zeros(n_words + 1, np.int64)
    np.cumsum([len(name) for name in names[:n_words]], out=word_bounds[1:])
    word_slots, word_hashes = np.zeros(_WORD_SLOTS, np.int32), np.zeros(n_words, np.uint32)
    fill_words(frozen(word_data, np.uint8), frozen(word_bounds, np.int64), word_slots, word_hashes)
    return LidModel(
        tuple(name.removeprefix(_PREFIX).decode() for name in names[n_words:]),
        Tables(
            rows=frozen(rows, np.float32),
            present=frozen(present, np.uint64),
            before=frozen(before, np.uint32),
            word_data=frozen(word_data, np.uint8),
            word_bounds=frozen(word_bounds, np.int64),
            word_slots=frozen(word_slots, np.int32),
            word_hashes=frozen(word_hashes, np.uint32),
            output=frozen(output, np.float32),
            children=frozen(children, np.int32),
            paths=frozen(paths, np.int32),
            end=np.int64(names.index(_END)),
        ),
    )


class _Reader:
    """The file's bytes and how far they are read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data = path.read_bytes()
        self._at = 0

    def require(self, condition: bool, what: str) -> None:
        if not condition:
            raise OtherModelError(f"{self._path}: not of the shape of lid.176.ftz: {what}")

    def expect(self, name: str, found: Any, wanted: Any) -> None:
        self.require(found == wanted, f"{name}: {found!s:.60}, expected {wanted!s:.60}")

    def _take(self, size: int) -> int:
        start = self._at
        self.require(0 <= size <= len(self._data) - start, f"ends within a field, at byte {len(self._data)}")
        self._at += size
        return start

    def unpack(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack_from(layout, self._data, self._take(struct.calcsize(layout)))

    def array(self, dtype: npt.DTypeLike, count: int) -> npt.NDArray[Any]:
        little = np.dtype(dtype).newbyteorder("<")
        return np.frombuffer(self._data, little, count, self._take(count * little.itemsize))

    def entries(self, size: int) -> tuple[list[bytes], list[int], list[int]]:
        """Read the dictionary: a name that ends with a zero byte, a count and a kind each."""
        names, counts, kinds = [], [], []
        for _ in range(size):
            end = self._data.find(b"\0", self._at)
            self.require(end >= 0, "a name of the dictionary does not end")
            names.append(self._data[self._at : end])
            self._at = end + 1
            count, kind = self.unpack("<qb")
            counts.append(count)
            kinds.append(kind)
        return names, counts, kinds


def _quantiser(reader: _Reader, dim: int, part: int) -> npt.NDArray[np.float32]:
    """Return a product quantiser's centroids, float32[parts, 256, part]."""
    reader.expect("product quantiser", reader.unpack("<4i"), (dim, dim // part, part, part))
    return reader.array(np.float32, dim * _CENTROIDS).reshape(dim // part, _CENTROIDS, part)


def _input_rows(reader: _Reader, count: int) -> npt.NDArray[np.float32]:
    """Return the input matrix, float32[count, DIM], each value rounded as fastText rounds it."""
    part = 2
    reader.expect("quantised input, with norms", reader.unpack("<??"), (True, True))
    reader.expect("input", reader.unpack("<qqi"), (count, DIM, count * DIM // part))
    codes = reader.array(np.uint8, count * DIM // part).reshape(count, -1)
    centroids = _quantiser(reader, DIM, part)
    norm_codes = reader.array(np.uint8, count)
    norms = _quantiser(reader, 1, 1)[0, norm_codes]
    directions = centroids[np.arange(DIM // part), codes].reshape(count, DIM)
    rows: npt.NDArray[np.float32] = norms.astype(np.float32) * directions.astype(np.float32)
    reader.require(bool(np.isfinite(rows).all()), "input that is not finite")
    return rows


def _output_rows(reader: _Reader, n_labels: int) -> npt.NDArray[np.float32]:
    """Return the inner nodes' weights, float32[n_labels - 1, DIM]; the file has a row more."""
    reader.expect("quantised output", reader.unpack("<?"), (False,))
    reader.expect("output", reader.unpack("<qq"), (n_labels, DIM))
    rows = reader.array(np.float32, n_labels * DIM).reshape(n_labels, DIM)
    reader.require(bool(np.isfinite(rows).all()), "output that is not finite")
    return rows[:-1].astype(np.float32)


def _prune(
    reader: _Reader, kept: npt.NDArray[np.int32], rows: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """Put the n-grams' rows into the order of their buckets, so that a bucket's rank is its row.

    The words follow, as if they were buckets that are never pruned.

    Returns:
        the rows, and the kernel's tables `present` and `before`.
    """
    buckets, places = kept.T.astype(np.int64)
    n_words = len(rows) - len(kept)
    reader.require(int(buckets.min()) >= 0 and int(buckets.max()) < BUCKETS, "a bucket out of range")
    reader.require(np.array_equal(np.sort(places), np.arange(len(kept))), "n-grams that share or lack a row")
    order = np.argsort(buckets)
    reader.require(bool((np.diff(buckets[order]) > 0).all()), "a bucket twice")
    bits = np.zeros(-(-(BUCKETS + n_words) // 64) * 64, np.uint8)
    bits[buckets] = 1
    bits[BUCKETS : BUCKETS + n_words] = 1
    before = np.zeros(len(bits) // 64, np.uint32)
    np.cumsum(bits.reshape(-1, 64).sum(axis=1)[:-1], out=before[1:])
    present = np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64)
    return np.concatenate([rows[n_words + places[order]], rows[:n_words]]), present, before


def _tree(reader: _Reader, counts: list[int]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Build the Huffman tree of the hierarchical softmax from the labels' counts.

    The counts descend; two queues, leaves from the rarest and inner nodes from the first made, give
    the two smallest each time, an inner node where the two are equal.

    Returns:
        children int32[n - 1, 2] of the inner nodes: less than n is a leaf (a label), the others are
        inner node + n; the root is the last. Paths int32[n, DEEPEST + 1]: from the root to a label,
        twice the inner node, plus one where the path turns right; ended by -1.
    """
    n = len(counts)
    reader.require(all(0 < b <= a for a, b in pairwise(counts)), "counts of labels that do not descend")
    reader.require(sum(counts) < 10**15, "counts of labels beyond fastText's infinity")
    leaf, node = n - 1, n
    children, weights = np.zeros((n - 1, 2), np.int32), list(counts)
    above: dict[int, list[int]] = {}
    for inner in range(n - 1):
        pair = []
        for _ in range(2):
            made = node < len(weights)
            if leaf >= 0 and (not made or counts[leaf] < weights[node]):
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(node)
                node += 1
        children[inner] = pair
        weights.append(weights[pair[0]] + weights[pair[1]])
    for inner in range(n - 2, -1, -1):
        before = above.get(inner + n, [])
        for turn, child in enumerate(children[inner].tolist()):
            above[child] = [*before, 2 * inner + turn]
    paths = np.full((n, DEEPEST + 1), -1, np.int32)
    for label in range(n):
        reader.require(len(above[label]) <= DEEPEST, f"a label {len(above[label])} deep in the tree")
        paths[label, : len(above[label])] = above[label]
    return children, paths
