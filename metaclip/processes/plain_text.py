"""Text from the web, from lists and from file names, as a terminal may be given it."""

import logging
import sys
import traceback
from types import TracebackType
from typing import Any

_JOINERS = "\u200c\u200d"
"""Zero-width joiners of emoji and of Persian: they move nothing about."""


def visible(text: str) -> str:
    r"""Return text with every character that a terminal would obey, or not show, written out.

    Control characters (escape sequences begin with one), bidirectional marks, line separators, lone
    surrogates and white space other than a plain space become `\x1b`, `\u202e` and the like.
    """
    if text.isprintable():
        return text
    return "".join(c if is_shown(c) else c.encode("unicode_escape").decode() for c in text)


def is_shown(character: str) -> bool:
    """Return whether a terminal shows a character, and does nothing else with it."""
    return character.isprintable() or character in _JOINERS


def visible_lines(text: str) -> str:
    """Return `visible` text with its lines as they are."""
    return "\n".join(map(visible, text.split("\n")))


class _VisibleRecord(logging.LogRecord):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.exc_info and self.exc_info[1] is not None:
            # A formatter takes this text, where there is one.
            self.exc_text = visible_lines("".join(traceback.format_exception(self.exc_info[1])).rstrip("\n"))

    def getMessage(self) -> str:  # noqa: N802 (logging's name)
        return visible_lines(super().getMessage())


def log_visibly() -> None:
    """Have whatever this process logs from now on, in any library, be safe to show."""
    logging.setLogRecordFactory(_VisibleRecord)


def end_visibly() -> None:
    """Have the traceback of an unforeseen error be safe to show."""
    sys.excepthook = _show


def _show(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    sys.stderr.write(visible_lines("".join(traceback.format_exception(error))))
