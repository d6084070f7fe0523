"""Text in UTF-16 or UTF-32, as Excel and PowerShell write it, becomes UTF-8 before it is read."""

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain

from metaclip.archive.damaged_members import Break, Event

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT = 4


def as_utf8(events: Iterable[Event]) -> Iterator[Event]:
    """Give the events of a decompressed text in UTF-8; of any other encoding than UTF-16 and UTF-32 they stay.

    Damage ends a text of these, since nobody knows where a letter begins behind it.
    """
    rest = iter(events)
    begun: list[Event] = []
    head = b""
    for event in rest:
        begun.append(event)
        head += event if isinstance(event, bytes) else b""
        if len(head) >= _LOOKED_AT or isinstance(event, Break):
            break
    encoding = _encoding(head[:_LOOKED_AT])
    if encoding is None:
        yield from chain(begun, rest)
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for event in chain(begun, rest):
        if isinstance(event, bytes):
            yield decoder.decode(event).encode("utf-8", "replace")
        elif isinstance(event, Break):
            yield Break(event.reason, tail=True)
            return
        else:
            yield event
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _encoding(head: bytes) -> str | None:
    """Return how the text that begins so is encoded, by its mark, or by the zeros beside two ASCII letters."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if len(head) == _LOOKED_AT and head[0] and head[2] and not head[1] and not head[3]:
        return "utf-16-le"
    if len(head) == _LOOKED_AT and head[1] and head[3] and not head[0] and not head[2]:
        return "utf-16-be"
    return None
