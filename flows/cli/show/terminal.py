"""Make text from the web, from lists and from files safe for a terminal and for JSON output."""

import json
from typing import Any

from rich.text import Text

from metaclip.processes.plain_text import is_shown, visible


def plain(text: str) -> Text:
    """Return text for a rich table or line that is shown literally, without markup and control characters."""
    return Text(visible(text))


def to_json(value: Any, indent: int | None = 1) -> str:
    """Return a value as JSON that is safe to print: everything but plain text in its strings is escaped."""
    written = json.dumps(value, ensure_ascii=False, indent=indent)
    # json.dumps escapes newlines in strings: those that are left part the lines.
    return "".join(c if c == "\n" or is_shown(c) else json.dumps(c)[1:-1] for c in written)
