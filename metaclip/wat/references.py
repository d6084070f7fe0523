"""Character references of HTML in values that may or may not have been decoded before."""

import html
import html.entities
import re

_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]*);")


def unescape(value: str | None) -> str | None:
    """Decode complete character references (`&amp;`, `&#39;`), once; incomplete ones stay.

    WAT files from before autumn 2019 carry attribute values as written in the page; newer ones carry
    them decoded, and nothing in a record says which. An incomplete reference is left alone because in
    a decoded address `&copy=` is a parameter; a complete one in a decoded value was escaped twice by
    the page's author, who meant what it decodes to.
    """
    if value and "&" in value:
        return _REFERENCE.sub(_character, value)
    return value


def _character(match: re.Match[str]) -> str:
    reference = match[0]
    if reference[1] == "#":
        return html.unescape(reference)
    return html.entities.html5.get(reference[1:], reference)
