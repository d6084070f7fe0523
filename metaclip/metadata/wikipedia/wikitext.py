"""The text that a reader of a Wikipedia article sees, without markup.

Markup without running text is removed first, starting with the innermost: comments, templates, tables,
footnotes, formulas and the like, files, categories and links between languages. Plain links are replaced
by their labels. The rest of the markup (emphasis, headings, lists, addresses and entities) ends with its
line, and mwparserfromhell removes it, line by line. Almost all lines have at most a heading, list marks,
paired emphasis and named entities. They do not need the parser, and the result is the same. This is over
ten times as fast as the library on whole articles, and it keeps captions and cells of tables, which are
not sentences, out of the counts.
"""

import re
from collections.abc import Callable
from html.entities import name2codepoint

import mwparserfromhell
from mwparserfromhell.parser import ParserError

GAP = "\ufffc"
"""Marks a place where something was removed from a line: the words around it were not neighbours."""

_MAX_DEPTH = 64

_COMMENT = re.compile(r"<!--.*?(?:-->|$)", re.S)
_FOOTNOTES = frozenset(("ref", "references"))
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>ref|references|math|chem|ce|gallery|timeline|source|syntaxhighlight|score|imagemap"
    r"|hiero|graph|mapframe|templatestyles)\b[^<>]*?(?P<empty>/?)>",
    re.I,
)
_BREAK = re.compile(r"<(?:br|hr|/?(?:p|div|li|ul|ol|tr|td|th|table|blockquote|center))\b[^<>]*>", re.I)
_OTHER_TAG = re.compile(r"</?[A-Za-z][^<>]{0,2000}>")
_TEMPLATE = re.compile(r"\{\{\{[^{}]*\}\}\}|\{\{[^{}]*\}\}")
_TABLE = re.compile(r"^[ :*]*\{\|(?:(?!\{\||\|\}).)*\|\}", re.S | re.M)
_LINK = re.compile(r"\[\[((?:[^\[\]]|\[(?!\[)[^\[\]]*\](?!\](?!\])))*)\]\]")  # its label may contain single brackets
_UNSEEN = re.compile(r"\s*(?:file|image|category|media)\s*:", re.I)
_LANGUAGE = re.compile(r"(?:[a-z]{2,3}|simple)(?:-[a-z]+)*:")
_SWITCH = re.compile(r"__[A-Z]+__")
_ADDRESS = re.compile(r"(?:https?|ftp)://[^\s\[\]<>\"]+(?=\s|$)", re.M)

# Alternatives that each begin with their own letter are found several times faster than classes.
_MARKUP = re.compile(r"''|\[|\]|\{|\}|<|>|&")
_PARSED = re.compile(r"\[|\]|\{|\}|<|>|&#")
_LINE_MARKS = frozenset("*#:;=-")
_HEADING = re.compile(r"(={1,6})([^=]+)\1")
_ENTITY = re.compile(r"&([A-Za-z0-9]+);")
_QUOTES = re.compile(r"'{2,}")
_SURROGATE = re.compile("[\ud800-\udfff]")


def strip_markup(wikitext: str) -> str | None:
    """Return an article's text, or None if the parser cannot read it.

    Lines stay lines; `GAP` marks what was removed from a line.
    """
    text = _without_elements(_COMMENT.sub("", wikitext))
    text = _repeat(_TEMPLATE, lambda _: GAP, text)
    text = _repeat(_TABLE, lambda _: "\n", text)
    text = _repeat(_LINK, _label, text)
    text = _OTHER_TAG.sub("", _BREAK.sub("\n", _SWITCH.sub("", text)))
    text = text.replace("{|", "").replace("|}", "")  # tables that are never closed
    try:
        shown = [_show(line) for line in text.split("\n")]
    except (ParserError, RecursionError):
        return None
    return "\n".join([_ADDRESS.sub(GAP, line) if "://" in line else line for line in shown])


def _show(line: str) -> str:
    """Return a line without markup, as `_parse` does, without the parser if possible."""
    first = line[:1]
    if first not in _LINE_MARKS and not _MARKUP.search(line):
        return line
    if _PARSED.search(line):
        return _parse(line)
    text = line
    if first == "=":
        heading = _HEADING.fullmatch(line)
        if heading is None:
            return _parse(line)
        text = heading[2]
    elif first in _LINE_MARKS:
        text = line.lstrip("*#:")
        if text.startswith(";") or line.startswith("----"):
            return _parse(line)
    quotes = _QUOTES.findall(text)
    if quotes:
        # Spans one after another; nested and broken ones go to the parser.
        if len(quotes) % 2 or any(len(a) > 3 or a != b for a, b in zip(quotes[::2], quotes[1::2], strict=True)):
            return _parse(line)
        text = _QUOTES.sub("", text)
    return _ENTITY.sub(_character, text)


def _character(entity: re.Match[str]) -> str:
    code = name2codepoint.get(entity[1])
    return entity[0] if code is None else chr(code)


def _parse(line: str) -> str:
    text = str(mwparserfromhell.parse(line).strip_code(normalize=True, collapse=False))
    return _SURROGATE.sub("\ufffd", text)  # a reference such as &#xD800; is not a character


def _without_elements(text: str) -> str:
    """Remove footnotes, and elements whose content is not wiki text, in one pass."""
    tags = list(_TAG.finditer(text))
    closing: dict[str, list[re.Match[str]]] = {}
    for tag in reversed(tags):
        if tag["close"]:
            closing.setdefault(tag["name"].lower(), []).append(tag)
    parts, done = [], 0
    for tag in tags:
        if tag.start() < done:
            continue
        name = tag["name"].lower()
        ends = closing.get(name, [])
        while ends and ends[-1].start() < tag.start():
            ends.pop()
        parts.append(text[done : tag.start()])
        # Of an element that is never closed only the tag is removed.
        paired = ends and not tag["close"] and not tag["empty"]
        done = ends[-1].end() if paired else tag.end()
        if name not in _FOOTNOTES:
            parts.append(GAP)
    return "".join([*parts, text[done:]])


def _repeat(pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str], text: str) -> str:
    for _ in range(_MAX_DEPTH):
        text, found = pattern.subn(replacement, text)
        if not found:
            break
    return text


def _label(link: re.Match[str]) -> str:
    target, bar, label = link[1].partition("|")
    if _UNSEEN.match(target):
        return "\n"
    if bar:
        return label
    return "" if _LANGUAGE.match(target) else target.removeprefix(":")
