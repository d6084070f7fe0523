"""Text from the web, from lists and from files, as it may be shown on a terminal or printed as JSON."""

import json
from typing import Any

from rich.text import Text

from metaclip.processes.plain_text import is_shown, visible


def plain(text: str) -> Text:
    """Return text for a rich table or line, taken literally: neither markup nor control characters count."""
    return Text(visible(text))


def to_json(value: Any, indent: int | None = 1) -> str:
    """Return a value as JSON that is safe to print: what is not plain text in its strings is escaped."""
    written = json.dumps(value, ensure_ascii=False, indent=indent)
    # json.dumps escapes newlines in strings: those that are left part the lines.
    return "".join(c if c == "\n" or is_shown(c) else json.dumps(c)[1:-1] for c in written)
