"""Make text from the web, from lists and from files safe for a terminal and for JSON output."""

import json
import re
from typing import Any

from rich.text import Text

_JOINERS = "\u200c\u200d"
"""Zero-width joiners of emoji and of Persian: they are harmless."""

_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u00ad\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")
"""Characters that control a terminal and that JSON does not escape by itself."""


def visible(text: str) -> str:
    r"""Return text in which characters that control a terminal, or are invisible, are written as escapes.

    Control characters (escape sequences begin with one), bidirectional marks, line separators, lone
    surrogates and white space other than a plain space become `\x1b`, `\u202e` and the like.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _JOINERS else c.encode("unicode_escape").decode() for c in text)


def plain(text: str) -> Text:
    """Return text for a rich table or line that is shown literally, without markup and control characters."""
    return Text(visible(text))


def to_json(value: Any, indent: int | None = 1) -> str:
    """Return a value as JSON that is safe to print: everything but plain text in its strings is escaped."""
    written = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", written)
