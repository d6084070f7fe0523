"""What reasons are called, and any text in a cell of Markdown."""

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from metaclip.report.words import markdown, reason, visible
from tests.metaclip.report.test_job import EVIL


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pair.no_match", "a text that contains no entry"),
        ("record.bad_json", "a record that cannot be used: bad json"),
        ("page.error_ValueError", "a page at which something unforeseen was raised: ValueError"),
        ("nothing.known", "nothing.known"),
    ],
)
def test_reasons_in_words(name: str, words: str) -> None:
    assert reason(name) == words


@given(st.text(max_size=60) | st.sampled_from(EVIL))
def test_markdown_of_any_text_is_one_cell_that_shows_the_text(text: str) -> None:
    rendered = MarkdownIt("commonmark").enable("table").render(f"| a |\n|---|\n| {markdown(text)} |\n")
    tree = html5lib.parse(rendered, namespaceHTMLElements=False)
    (cell,) = tree.iter("td")
    assert list(cell) == []
    shown = visible(text).replace("\u2028", " ").replace("\u2029", " ")
    assert (cell.text or "") == shown.strip()
