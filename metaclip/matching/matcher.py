"""Find the entries that texts contain, fast.

Equals `metaclip.matching.definition`; held by tests/metaclip/matching/test_matcher.py.
Equals `metaclip.matching.boundaries`; held by tests/metaclip/matching/test_boundaries.py.
"""

import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import xxhash

from metaclip.errors import StoreError
from metaclip.kernels.jit import frozen
from metaclip.kernels.utf8 import Texts, chunks, encode
from metaclip.matching import table_kernel as match_table
from metaclip.matching.boundaries import Costs, TokenRule
from metaclip.matching.characters import character_kinds

_MAGIC = b"metaclip matcher"
_FORMATS = {"paper": 1, "unicode": 2, "characters": 2, "words": 2}
"""The format of a table for each rule; the second has the rule's number, which is the position here, in its header."""
_RULES = tuple(_FORMATS)
# Magic, format, entries, duplicates, unmatchable, deepest, slots, filter words, bytes of long tokens,
# digest, rule; then the three arrays. Padded so that each slot lies within one cache line.
_HEADER = struct.Struct("<16s10Q32x")
_DIGEST_AT = 16 + 8 * 8
_SLOT_BYTES = 32


class Matcher:
    r"""Finds the entries that texts contain.

    An entry's id is its position. Of equal entries only the first ever matches; `duplicates` is the
    number of the others. `unmatchable` is the number of entries that no text can contain, because
    they have a tab or a line end, or one of `, . ; : ? ! \`` next to another character.

    Texts and entries are compared as UTF-8. Lone surrogates, which are allowed in a `str` but not in
    UTF-8, equal only themselves, as in the definition.

    With other rules than the paper's, entries with the same tokens are equal, and those without a token
    cannot match (`metaclip.matching.boundaries`).

    Args:
        entries: distinct strings, in the order of their ids; the empty one is allowed.
        rule: how entries are found in texts: the paper's way, or one of `metaclip.matching.boundaries`.
        costs: for the rule `words`, uint16[n_entries], see `boundaries.Costs`; without them every token is a word.
        ids: the ids instead of the positions, uint32[n], for strings that are other spellings of one entry.

    Raises:
        TypeError: if an entry is not a `str`.
        ValueError: if the entries have more than about a billion distinct beginnings, or the costs are of
            another number of entries.
    """

    def __init__(
        self,
        entries: Sequence[str],
        rule: Literal["paper"] | TokenRule = "paper",
        costs: Costs | None = None,
        *,
        ids: npt.NDArray[np.uint32] | None = None,
    ) -> None:
        data, offsets = encode(entries, "entries")
        kinds = None if rule == "paper" else character_kinds(rule != "unicode")
        capacity = max(64, 2 * len(entries))
        while True:
            slots, long_tokens = np.zeros((capacity, 4), np.uint64), np.zeros(len(data), np.uint8)
            built = _build(data, offsets, kinds, slots, long_tokens)
            if built[0] == len(entries):
                break
            capacity *= 2
        # The number of keys is known only now: build the table again with the right size.
        keys, long_bytes = int(built[1]), int(built[2])
        capacity = max(64, keys * 5 // 3)
        if capacity >= 1 << (32 if rule == "paper" else 31):
            raise ValueError(f"the entries have {keys} distinct beginnings; split the list")
        filter_words = 1 << max(3, (keys // 6).bit_length())
        n_entries = len(entries) if ids is None else int(ids.max(initial=0)) + 1
        header = (n_entries, int(built[3]), int(built[4]), int(built[5]), capacity, filter_words, long_bytes)
        buffer = _zeroed(_size(*header[-3:]))
        buffer[: _HEADER.size] = np.frombuffer(
            _HEADER.pack(_MAGIC, _FORMATS[rule], *header, 0, _RULES.index(rule)), np.uint8
        )
        slots, words, kept = _parts(buffer, *header[-3:])
        long_tokens[:] = 0
        _build(data, offsets, kinds, slots, long_tokens)
        if ids is not None:
            ends = np.flatnonzero(slots[:, 0] >> np.uint64(32))
            place = slots[ends, 0] >> np.uint64(32)
            named = (ids[place - np.uint64(1)].astype(np.uint64) + np.uint64(1)) << np.uint64(32)
            slots[ends, 0] = (slots[ends, 0] & np.uint64(0xFFFFFFFF)) | named
        match_table.fill_filter(slots, words)
        kept[:] = long_tokens[:long_bytes]
        buffer[_DIGEST_AT : _DIGEST_AT + 8] = np.frombuffer(struct.pack("<Q", _digest(buffer)), np.uint8)
        self._take(buffer, costs)

    def match(self, texts: Texts) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        """Return the ids of the entries that each text contains.

        Args:
            texts: strings, or an Arrow array of type string or large_string, chunked or not, which is
                read without a copy.

        Returns:
            offsets int64[n + 1] and entry_ids uint32[m]: text i contains
            entry_ids[offsets[i] : offsets[i + 1]], ascending and distinct.

        Raises:
            TypeError: for other types.
            ValueError: if a text is null.
        """
        all_offsets, all_ids = [np.zeros(1, np.int64)], [np.zeros(0, np.uint32)]
        found = 0
        for data, offsets in chunks(texts):
            bounds, ids = self._match(data, offsets)
            all_offsets.append(bounds[1:] + found)
            all_ids.append(ids)
            found += len(ids)
        return np.concatenate(all_offsets), np.concatenate(all_ids)

    def save(self, path: str | Path) -> None:
        """Write the table to a local file; the same entries give the same bytes everywhere."""
        target = Path(path)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            temporary.write_bytes(self._buffer.data)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path, mmap: bool = True, costs: Costs | None = None) -> "Matcher":
        """Open a table that `save` wrote.

        Args:
            path: a local file.
            mmap: map the file, so that all processes of a machine share one copy in memory.
            costs: as for the constructor; they are not part of the table.

        Raises:
            StoreError: if the file is missing, short or altered, or is not a table.
        """
        way_out = "; write the table again with Matcher(entries).save(path)"
        try:
            buffer = np.memmap(path, np.uint8, "r") if mmap else np.fromfile(path, np.uint8)
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise StoreError(f"{path}: cannot be read as a matcher's table: {error}{way_out}") from error
        if len(buffer) < _HEADER.size or buffer[:16].tobytes() != _MAGIC:
            raise StoreError(f"{path}: not a matcher's table{way_out}")
        fields = _HEADER.unpack(buffer[: _HEADER.size].tobytes())
        if fields[10] >= len(_RULES) or fields[1] != _FORMATS[_RULES[fields[10]]]:
            raise StoreError(f"{path}: format {fields[1]} of the table is not one of this version{way_out}")
        expected = _size(*fields[6:9])
        if len(buffer) != expected:
            raise StoreError(f"{path}: {len(buffer)} bytes long, should be {expected}{way_out}")
        if fields[9] != _digest(buffer):
            raise StoreError(f"{path}: its content was altered (checksum differs){way_out}")
        matcher = cls.__new__(cls)
        matcher._take(buffer, costs)
        return matcher

    @property
    def nbytes(self) -> int:
        """Size of the table, in memory and as a file."""
        return len(self._buffer)

    def _match(
        self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        if self.rule == "paper":
            return match_table.match(data, offsets, self._slots, self._filter, self._long_tokens, self._deepest)
        n = len(offsets) - 1
        slots = self._slots.reshape(-1)
        tables = (character_kinds(self.rule != "unicode"), slots, self._filter, self._long_tokens, self._costs)
        bounds, parts = np.zeros(n + 1, np.int64), [np.zeros(0, np.uint32)]
        ids, matches = np.empty(16 * n + (1 << 14), np.uint32), np.empty((1 << 14, 4), np.uint32)
        text = 0
        while text < n:
            done, m = match_table.match_tokens(data, offsets, *tables, len(self._costs) > 0, text, bounds, ids, matches)
            parts.append(ids[:m].copy())
            if done == text:  # a single text needs more room
                ids, matches = np.empty(4 * len(ids), np.uint32), np.empty((4 * len(matches), 4), np.uint32)
            text = done
        return bounds, np.concatenate(parts)

    def _take(self, buffer: npt.NDArray[np.uint8], costs: Costs | None) -> None:
        if sys.byteorder != "little":
            raise NotImplementedError("the matcher's table is for little-endian processors")
        self._buffer = frozen(buffer, np.uint8)
        header = _HEADER.unpack(self._buffer[: _HEADER.size].tobytes())
        self.n_entries, self.duplicates, self.unmatchable, self._deepest = header[2:6]
        self._slots, self._filter, self._long_tokens = _parts(self._buffer, *header[6:9])
        self.rule = _RULES[header[10]]
        if self.rule != "words" or costs is None:
            costs = np.zeros(0, np.uint16)
        elif len(costs) != self.n_entries:
            raise ValueError(f"{len(costs)} costs for {self.n_entries} entries")
        self._costs = frozen(costs, np.uint16)


def _build(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.uint8] | None,
    slots: npt.NDArray[np.uint64],
    long_tokens: npt.NDArray[np.uint8],
) -> npt.NDArray[np.int64]:
    if kinds is None:
        return match_table.build(data, offsets, slots, long_tokens)
    return match_table.build_tokens(data, offsets, kinds, slots, long_tokens)


def _size(slots: int, filter_words: int, long_bytes: int) -> int:
    return _HEADER.size + slots * _SLOT_BYTES + filter_words * 8 + long_bytes


def _parts(
    buffer: npt.NDArray[np.uint8], slots: int, filter_words: int, long_bytes: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    filter_at = _HEADER.size + slots * _SLOT_BYTES
    long_at = filter_at + filter_words * 8
    return (
        buffer[_HEADER.size : filter_at].view(np.uint64).reshape(slots, 4),
        buffer[filter_at:long_at].view(np.uint64),
        buffer[long_at : long_at + long_bytes],
    )


def _zeroed(size: int) -> npt.NDArray[np.uint8]:
    """Return zeroed memory that is aligned to a cache line, like a mapped file."""
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size]


def _digest(buffer: npt.NDArray[np.uint8]) -> int:
    digest = xxhash.xxh3_64(buffer[:_DIGEST_AT].data)
    digest.update(buffer[_DIGEST_AT + 8 :].data)
    return int(digest.intdigest())
