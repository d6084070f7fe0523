"""X-Robots-Tag: what a server asks of those who fetch a picture."""

import re
from collections.abc import Iterable

DIRECTIVES = frozenset({"noai", "noimageai", "noindex", "noimageindex"})
"""Those that img2dataset respects; a picture with one of them is not used."""

OPTED_OUT = "Use of image disallowed by X-Robots-Tag directive"
"""img2dataset's words for it."""

_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_NAMED = re.compile(r"\s*([\w.-]+)\s*:(.*)", re.DOTALL)


def is_opted_out(headers: Iterable[str], token: str) -> bool:
    """Return whether one of the headers has such a directive, for every crawler or for the one with this token.

    `token: directive, directive` is for that crawler alone.
    """
    for header in headers:
        crawler = None
        for piece in header.split(","):
            named = _NAMED.match(piece)
            if named and named[1].lower() not in _WITH_VALUE:
                crawler, piece = named[1].lower(), named[2]
            if piece.strip().lower() in DIRECTIVES and crawler in (None, token.lower()):
                return True
    return False
