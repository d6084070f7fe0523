"""What a reader of an article sees is kept; what is no running text is taken out."""

import re
import time
from collections import Counter
from collections.abc import Callable

import mwparserfromhell
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metaclip.metadata.wikipedia import wikitext
from metaclip.metadata.wikipedia.dump import read_articles
from metaclip.metadata.wikipedia.wikitext import GAP, strip_markup
from tests.metaclip.metadata.oracle import count
from tests.shared import shared_data


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("'''Bold''' and ''italic'' text", "Bold and italic text"),
        ("a [[red fox]] and [[fox|two foxes]] [[:Category:Foxes|here]]", "a red fox and two foxes here"),
        ("a<!-- hidden\nnote --> fox", "a fox"),
        ("a fox,<ref name=x>See ''this'' {{cite|a}}</ref> red<ref name=x /> one", "a fox, red one"),
        ("== The fox ==\n* one\n# two", " The fox \n one\n two"),
        ("{{Infobox|a={{b|{{{c}}}}}}}The fox", f"{GAP}The fox"),
        ("of {{convert|3|km}} long", f"of {GAP} long"),
        ("{|\n|-\n| cell\n{|\n| inner\n|}\n|}\nThe fox", "\n\nThe fox"),
        ("[[File:Fox.jpg|thumb|A [[red]] fox]]The fox\n[[Category:Foxes]][[fr:Renard]]", "\nThe fox\n\n"),
        ("x <math>a^2</math> y", f"x {GAP} y"),
        ("a<br/>b<small>c</small>", "a\nbc"),
        ("[https://example.org the site] and https://example.org/a?b", f"the site and {GAP}"),
        ("5&nbsp;km &amp; 3 &lt; 4", "5\xa0km & 3 < 4"),
        ("__NOTOC__The fox", "The fox"),
        ("{{unclosed [[broken <ref>fox", "{{unclosed [[broken fox"),
        ("[[File:F.jpg|thumb|The [[fox]] [https://a.b here] and [sic]]] The [[fox|f[o]x]]", "\n The f[o]x"),
        ("an ''open\nspan'' ends", "an ''open\nspan'' ends"),
        ("of &#xD800; and &#xFFFFFFF; &#x41;", "of \ufffd and &#xFFFFFFF; A"),
    ],
)
def test_markup(wikitext: str, text: str) -> None:
    assert strip_markup(wikitext) == text


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        *(tag * 50_000 for tag in ("{{", "[[", "\n{|", "<ref>", "<math>", "<b>", "<!--", "'''''")),
        "{{a|" * 20_000 + "}}" * 20_000,
        "[[" * 1000 + "a" * 10_000 + "]]" * 1000,
        "[[a [b" * 20_000,
        "[[" + "[b] " * 50_000,
        "'''a ''b & [" * 4000,
    ],
)
def test_broken_markup_takes_no_long_time(broken: str) -> None:
    started = time.process_time()
    assert strip_markup(broken) is not None
    assert time.process_time() - started < 5


LINE = st.text(st.sampled_from("'''=*#:;-[]{}<>&|! ab/"), max_size=12)
PIECES = st.sampled_from(
    [
        *("://a.b ", "''", "'''", "''''", "==", "* ", "----", "&amp;", "&nbsp;", "&lang;", "&no;", "&#65;"),
        *(
            "[http://a b]",
            "[https://a.b?c=d&amp;e ",
            "[ftp://a",
            "[//a b]",
            "[mailto:a b]",
            "[sic]",
            "http:",
            "]",
            ";a:b",
        ),
        *("[http://a ''b'']", "[http://a  b\t]", '"', "\u2028", "é"),
    ]
)


@pytest.mark.slow
@given(st.lists(LINE | PIECES, max_size=8).map("".join))
@example("== a ''b'' &amp; c ==")
@example("*# '''a''' ''b''")
@example("* [http://a.b c: d] and [[sic] [http://a.b]")
@example("'[http://a 'b']'")
@example("''a [http://a b] c'' [http://a ''d'']")
@example(";; a [http://a.b c]")
@settings(max_examples=1500)
def test_the_short_ways_give_what_the_library_gives(line: str) -> None:
    assert wikitext._show(line) == wikitext._parse(line)


@pytest.mark.slow
def test_the_short_ways_give_what_the_library_gives_on_a_real_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    (dump,) = shared_data("wikipedia").glob("*.bz2")
    articles = list(read_articles(str(dump), Counter()))[::2]
    texts = [strip_markup(article) for article in articles]
    monkeypatch.setattr(wikitext, "_show", wikitext._parse)
    assert [strip_markup(article) for article in articles] == texts


# What is removed before the library sees a line, as rules that are applied as long as they find something.
TAG = re.compile(r"<(/?)(ref|references|math)\b[^<>]*?(/?)>", re.I)
TEMPLATE = re.compile(r"\{\{\{[^{}]*\}\}\}|\{\{[^{}]*\}\}")
TABLE = re.compile(r"^[ :*]*\{\|(?:(?!\{\||\|\}).)*\|\}", re.S | re.M)
LINK = re.compile(r"\[\[((?:[^\[\]]|\[(?!\[)[^\[\]]*\](?!\](?!\])))*)\]\]")


def _applied(rule: re.Pattern[str], put: Callable[[re.Match[str]], str], text: str) -> str:
    for _ in range(64):
        text = rule.sub(put, text)
    return text


def _elements(text: str) -> str:
    shown, at = "", 0
    while tag := TAG.search(text, at):
        shown += text[at : tag.start()] + ("" if tag[2].lower().startswith("ref") else GAP)
        same = (other for other in TAG.finditer(text, tag.end()) if other[1] and other[2].lower() == tag[2].lower())
        closing = None if tag[1] or tag[3] else next(same, None)
        at = (closing or tag).end()
    return shown + text[at:]


MARKUP = st.lists(
    st.sampled_from(
        [
            *(
                "{{",
                "}}",
                "{{{",
                "}}}",
                "{|",
                "|}",
                "\n{|",
                "\n :*{|",
                "[[",
                "]]",
                "[",
                "]",
                "|",
                ":",
                "\n",
                " ",
                "a",
                "{",
                "}",
            ),
            *("<ref>", "</ref>", "<Ref name=a />", "<ref a>", "<references/>", "<math>", "</MATH >", "<math", ">"),
            *("File:", "[[Image:a|", "fr:", "[[:", "Category:a", "[[a|b|c]]", "{{a|b}}", "\n{|\na\n|}"),
        ]
    ),
    max_size=30,
).map("".join)


@given(MARKUP)
@example("{{" * 70 + "}}" * 70)
@example("\n{|" * 70 + "|}" * 70)
@example("[[File:a|" * 70 + "]]" * 70)
@example("<ref><ref/><math></ref></math>b</ref>")
@settings(max_examples=1500)
def test_what_is_removed_is_what_the_rules_say(text: str) -> None:
    assert wikitext._without_elements(text) == _elements(text)
    assert wikitext._without_templates(text) == _applied(TEMPLATE, lambda _: GAP, text)
    assert wikitext._without_tables(text) == _applied(TABLE, lambda _: "\n", text)
    assert wikitext._with_labels(text) == _applied(LINK, lambda link: wikitext._label(link[1]), text)


@pytest.mark.slow
def test_what_comes_before_the_library_takes_out_no_running_text() -> None:
    """Nearly every word that the library alone finds in real paragraphs is there, and none is new."""
    (dump,) = shared_data("wikipedia").glob("*.bz2")
    ours: Counter[str] = Counter()
    theirs: Counter[str] = Counter()
    for number, article in enumerate(read_articles(str(dump), Counter())):
        if number % 5:
            continue
        # Paragraphs of plain prose with links: what no rule of ours takes out.
        prose = "\n".join(
            line
            for line in article.split("\n")
            if len(line) > 200 and not set(line) & set("{}<>|=") and ":" not in line
        )
        ours.update(count(strip_markup(prose) or "")[0])
        theirs.update(count(mwparserfromhell.parse(prose).strip_code(normalize=True, collapse=False))[0])
    assert sum(theirs.values()) > 3000
    assert ours == theirs
