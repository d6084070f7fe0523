"""Clean texts, and addresses of pages, for pairs."""

import re


def clean_text(text: str) -> str:
    """Replace every run of white space by one space, and strip both ends.

    White space is what `str.split` splits at: all of Unicode's, no-break spaces included, and the ASCII
    separators 0x1C to 0x1F. A zero byte and a lone surrogate become U+FFFD, as in the HTML standard, so
    the result can always be encoded as UTF-8.
    """
    text = " ".join(text.split())
    if "\0" in text or (not text.isascii() and _LONE_SURROGATE.search(text)):
        return _UNUSABLE.sub("\ufffd", text)
    return text


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
