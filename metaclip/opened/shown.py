"""Answers about a pool: plain lists and dicts of JSON values that a notebook shows as tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from markupsafe import Markup, escape

MOST_CHARACTERS = 300
MOST_ROWS = 200


class Rows(list[dict[str, Any]]):
    """A list of rows with a title; `to_arrow` and `to_pandas` make tables of it."""

    def __init__(self, rows: Iterable[dict[str, Any]], title: str = "") -> None:
        super().__init__(rows)
        self.title = title

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return pa.Table.from_pylist(list(self))

    def to_pandas(self) -> Any:
        """Return the rows as a pandas data frame."""
        return self.to_arrow().to_pandas()

    def _repr_html_(self) -> str:
        return table_html(self.title, self)


class Told(dict[str, Any]):
    """A dict of JSON values that a notebook shows as a table, and its lists of rows as tables below."""

    def _repr_html_(self) -> str:
        plain = {name: value for name, value in self.items() if not _is_rows(value)}
        parts = [table_html("", [{"": name, " ": value} for name, value in plain.items()])]
        parts += [table_html(name.replace("_", " "), value) for name, value in self.items() if _is_rows(value)]
        return "".join(parts)


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def table_html(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as an HTML table; every value is escaped, for texts come from the web."""
    shown = rows[:MOST_ROWS]
    names = list(dict.fromkeys(name for row in shown for name in row))
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in names)
    lines = [Markup("").join(_cell(row.get(name)) for name in names) for row in shown]
    body = Markup("").join(Markup("<tr>{}</tr>").format(line) for line in lines)
    caption = Markup('<caption style="text-align:left">{}</caption>').format(title) if title else ""
    more = Markup("<p>and {} more</p>").format(f"{len(rows) - MOST_ROWS:,}") if len(rows) > MOST_ROWS else ""
    table = Markup("<table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}")
    return str(table.format(caption, head, body, more))


def _cell(value: object) -> Markup:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        text = "" if value is None else str(value)
        text = text[:MOST_CHARACTERS] + ("…" if len(text) > MOST_CHARACTERS else "")
        return Markup('<td style="text-align:left"><bdi>{}</bdi></td>').format(text)
    if isinstance(value, int | float):
        shown = f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
        return Markup('<td style="text-align:right">{}</td>').format(shown)
    if isinstance(value, Mapping):
        value = [f"{name}: {each}" for name, each in value.items()]
    if isinstance(value, list | tuple):
        return _cell(", ".join(map(str, value)))
    return Markup("<td>{}</td>").format(escape(str(value)))
