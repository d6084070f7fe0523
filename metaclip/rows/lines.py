"""Decompressed bytes as lines, in bounded memory; what is damaged or too long is counted."""

import codecs
from collections import Counter
from collections.abc import Iterable, Iterator

from metaclip.archive.damaged_members import Break, Event

MAX_BYTES = 16 << 20
"""Bytes of the longest line, or value, that is read."""


def lines_of(events: Iterable[Event], statistics: Counter[str]) -> Iterator[bytes]:
    """Split decompressed bytes into lines; after damage reading goes on with the next whole line."""
    rest = bytearray()
    begun = skipping = False
    for event in events:
        if isinstance(event, Break):
            part = "file_tail" if event.tail else "file_part"
            statistics[f"dropped.{part}.{event.reason}"] += 1
            rest.clear()
            skipping = True
            continue
        if not isinstance(event, bytes):
            continue
        end = event.rfind(b"\n")
        if end < 0:
            if not skipping:
                rest += event
        else:
            rest += event[:end]
            whole = bytes(rest).split(b"\n")
            rest[:] = event[end + 1 :]
            for line in whole[1:] if skipping else whole:
                yield line if begun else line.removeprefix(codecs.BOM_UTF8)
                begun = True
            skipping = False
        if len(rest) > MAX_BYTES and not skipping:
            statistics["records"] += 1
            statistics["dropped.record.too_long"] += 1
            rest.clear()
            skipping = True
    if rest and not skipping:
        yield bytes(rest) if begun else bytes(rest).removeprefix(codecs.BOM_UTF8)
