"""The text that a reader of a Wikipedia article sees, without markup.

Markup without running text is removed first, starting with the innermost: comments, templates, tables,
footnotes, formulas and the like, files, categories and links between languages. Plain links are replaced
by their labels. The rest of the markup (emphasis, headings, lists, addresses and entities) ends with its
line, and mwparserfromhell removes it, line by line. Almost all lines have at most a heading, list marks,
paired emphasis, links to other sites and named entities. They do not need the parser, and the result is the
same. This is tens of times as fast as the library on whole articles, and it keeps captions and cells of
tables, which are not sentences, out of the counts.
"""

import re
from html.entities import name2codepoint

import mwparserfromhell
from mwparserfromhell.parser import ParserError

GAP = "\ufffc"
"""Marks a place where something was removed from a line: the words around it were not neighbours."""

_MAX_DEPTH = 64

_COMMENT = re.compile(r"<!--.*?(?:-->|$)", re.S)
_FOOTNOTES = frozenset(("ref", "references"))
_TAG = re.compile(
    r"<(/?)(ref|references|math|chem|ce|gallery|timeline|source|syntaxhighlight|score|imagemap"
    r"|hiero|graph|mapframe|templatestyles)\b([^<>]*+)>",
    re.I,
)
_BREAK = re.compile(r"<(?:br|hr|/?(?:p|div|li|ul|ol|tr|td|th|table|blockquote|center))\b[^<>]*>", re.I)
_OTHER_TAG = re.compile(r"</?[A-Za-z][^<>]{0,2000}>")
# What begins with two fixed characters, and never goes back over what it has read, is found several times faster.
_TEMPLATE = re.compile(r"\{\{(?:\{[^{}]*+\}\}\}|[^{}]*+\}\})")
_TABLE_END = re.compile(r"\{\||\|\}")
_LINK = re.compile(  # its label may contain single brackets
    r"\[\[([^\[\]]*+(?:\[(?!\[)[^\[\]]*+\](?!\](?!\]))[^\[\]]*+)*+)\]\]"
)
_UNSEEN = re.compile(r"\s*(?:file|image|category|media)\s*:", re.I)
_LANGUAGE = re.compile(r"(?:[a-z]{2,3}|simple)(?:-[a-z]+)*:")
_SWITCH = re.compile(r"__[A-Z]+__")
_ADDRESS = re.compile(r"(?:https?|ftp)://[^\s\[\]<>\"]+(?=\s|$)", re.M)

# Alternatives that each begin with their own letter are found several times faster than classes.
_MARKUP = re.compile(r"''|\[|\{|<|&")
_SITE = re.compile(r"\[(?:https?|ftp)://[^ \[\]<>{}\"']+(?: ([^\[\]<>{}]*))?\]")
_PERHAPS_SITE = re.compile(r"\[(?:\[|//|[A-Za-z0-9+.-]*:)")
_LINE_MARKS = frozenset("*#:;=-")
_HEADING = re.compile(r"(={1,6})([^=]+)\1")
_ENTITY = re.compile(r"&([A-Za-z0-9]+);")
_QUOTES = re.compile(r"'{2,}")
_SPANS = frozenset(("''", "'''", "'''''"))
_SURROGATE = re.compile("[\ud800-\udfff]")


def strip_markup(wikitext: str) -> str | None:
    """Return an article's text, or None if the parser cannot read it.

    Lines stay lines; `GAP` marks what was removed from a line.
    """
    text = _COMMENT.sub("", wikitext)
    if "<" in text:
        text = _without_elements(text)
    text = _without_templates(text)
    text = _without_tables(text)
    text = _with_labels(text)
    text = _SWITCH.sub("", text)
    if "<" in text:
        text = _OTHER_TAG.sub("", _BREAK.sub("\n", text))
    if "|" in text:
        text = text.replace("{|", "").replace("|}", "")  # tables that are never closed
    marked = _MARKUP.search
    try:
        lines = [
            _show(line) if line and (line[0] in _LINE_MARKS or marked(line)) else line for line in text.split("\n")
        ]
    except (ParserError, RecursionError):
        return None
    text = "\n".join(lines)
    if "://" not in text:
        return text
    return "\n".join([_ADDRESS.sub(GAP, line) if "://" in line else line for line in text.split("\n")])


def _show(line: str) -> str:
    """Return a line without markup, as `_parse` does, without the parser if possible."""
    if "{" in line or "<" in line or "&#" in line:
        return _parse(line)
    text = line
    first = line[:1]
    if first == "=":
        heading = _HEADING.fullmatch(line)
        if heading is None or "[" in line:
            return _parse(line)
        text = heading[2]
    elif first in _LINE_MARKS:
        text = line.lstrip("*#:")
        if text.startswith(";"):
            text = text.lstrip("*#:;")
            if ":" in text:
                return _parse(line)
        elif line.startswith("----"):
            return _parse(line)
    if "[" in text:
        labelled = _with_sites(text)
        if labelled is None:
            return _parse(line)
        text = labelled
    if "''" in text:
        if not _is_paired(text):
            return _parse(line)
        text = text.replace("'''", "").replace("''", "")
    return _ENTITY.sub(_character, text) if "&" in text else text


def _with_sites(text: str) -> str | None:
    """Replace links to other sites by their labels; None if the parser is needed."""
    if "[[" in text:
        return None
    parts = _SITE.split(text)
    shown = "".join([part or "" for part in parts])
    if _PERHAPS_SITE.search(shown):
        return None
    if len(parts) > 1 and "''" in shown:
        quotes = [_QUOTES.findall(part or "") for part in parts]
        if [mark for part in quotes for mark in part] != _QUOTES.findall(shown):
            return None
        # Emphasis around links, or in one, but not both.
        if any(quotes[1::2]) and (sum(map(bool, quotes)) > 1 or not _is_paired(shown)):
            return None
    return shown


def _is_paired(text: str) -> bool:
    """Return whether spans of emphasis come one after another; nested and broken ones go to the parser."""
    quotes = _QUOTES.findall(text)
    return quotes[::2] == quotes[1::2] and _SPANS.issuperset(quotes)


def _character(entity: re.Match[str]) -> str:
    code = name2codepoint.get(entity[1])
    return entity[0] if code is None else chr(code)


def _parse(line: str) -> str:
    text = str(mwparserfromhell.parse(line).strip_code(normalize=True, collapse=False))
    return _SURROGATE.sub("\ufffd", text)  # a reference such as &#xD800; is not a character


def _without_elements(text: str) -> str:
    """Remove footnotes, and elements whose content is not wiki text, in one pass."""
    parts = _TAG.split(text)  # text, then for each tag: the slash of a closing one, its name, what follows, text
    if len(parts) == 1:
        return text
    closings, names, insides, texts = parts[1::4], [name.lower() for name in parts[2::4]], parts[3::4], parts[4::4]
    ends: dict[str, list[int]] = {}
    for number in range(len(names) - 1, -1, -1):
        if closings[number]:
            ends.setdefault(names[number], []).append(number)
    kept = [parts[0]]
    number = 0
    while number < len(names):
        name = names[number]
        if name not in _FOOTNOTES:
            kept.append(GAP)
        # Of an element that is never closed only the tag is removed.
        if not closings[number] and not insides[number].endswith("/"):
            later = ends.get(name)
            while later and later[-1] < number:
                later.pop()
            if later:
                number = later[-1]
        kept.append(texts[number])
        number += 1
    return "".join(kept)


def _without_templates(text: str) -> str:
    """Remove templates and their parameters, starting with the innermost."""
    for _ in range(_MAX_DEPTH):
        text, found = _TEMPLATE.subn(GAP, text)
        if not found:
            break
    return text


def _without_tables(text: str) -> str:
    """Replace tables that begin a line by line ends, starting with the innermost."""
    for _ in range(_MAX_DEPTH):
        if "{|" not in text:
            break
        parts: list[str] = []
        done, begun = 0, -1
        for mark in _TABLE_END.finditer(text):
            if mark[0] == "{|":
                begun = text.rfind("\n", 0, mark.start()) + 1
                if text[begun : mark.start()].strip(" :*"):
                    begun = -1
            elif begun >= 0:
                parts += (text[done:begun], "\n")
                done, begun = mark.end(), -1
        if not done:
            break
        text = "".join([*parts, text[done:]])
    return text


def _with_labels(text: str) -> str:
    """Replace links by their labels, starting with the innermost."""
    for _ in range(_MAX_DEPTH):
        if "[[" not in text:
            break
        parts = _LINK.split(text)
        if len(parts) == 1:
            break
        parts[1::2] = [link[link.find("|") + 1 :] if ":" not in link else _label(link) for link in parts[1::2]]
        text = "".join(parts)
    return text


def _label(link: str) -> str:
    target, bar, label = link.partition("|")
    if _UNSEEN.match(target):
        return "\n"
    if bar:
        return label
    return "" if _LANGUAGE.match(target) else target.removeprefix(":")
