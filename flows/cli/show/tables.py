"""Tables that fit the terminal: whole, else with fewer columns, else as lines `name: value`.

A rule that a terminal wraps makes a table unreadable, and a figure that is cut short is wrong.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from flows.cli.show.terminal import plain

Cell = str | Sequence[str]
"""Text from anywhere, or lines of it."""


@dataclass(frozen=True)
class Column:
    """A column by its name."""

    name: str
    figures: bool = False
    """Aligned on the right."""
    spare: int = 0
    """Left out where the table is too wide, the highest first; 0 stays."""


def short_t(t: str) -> str:
    """Return t in four digits, for reading; JSON has all of it, and commands that are suggested do too.

    The name of a set of languages with a t of their own is returned as it is.
    """
    if ";" in t:
        return t
    value = float(t)
    return t if not math.isfinite(value) or value == int(value) else f"{value:.4g}"


def figures(*names: str) -> list[Column]:
    """Return columns of figures."""
    return [Column(name, figures=True) for name in names]


def show_table(
    console: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    title: str = "",
    total: Sequence[Cell] | None = None,
) -> None:
    """Print rows as a table, or as lines where no table fits.

    Args:
        console: where to.
        columns: the columns, as many as a row has cells.
        rows: the cells, text that counts as no markup.
        title: what it is about, text as well.
        total: a last row, under a rule.
    """
    left_out: list[Column] = []
    for spare in [None, *sorted({column.spare for column in columns} - {0}, reverse=True)]:
        left_out += [column for column in columns if column.spare == spare]
        kept = [place for place, column in enumerate(columns) if column not in left_out]
        table = _table(
            [columns[place] for place in kept],
            [[row[place] for place in kept] for row in rows],
            None if total is None else [total[place] for place in kept],
        )
        width = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
        if width <= console.width:
            _print(console, table, title, width)
            # A column without a name shows as bars what another tells.
            if names := ", ".join(_on_a_line(column.name) for column in left_out if column.name):
                console.print(plain(f"too wide for this terminal, so left out (--json has all): {names}"))
            return
    if title:
        console.print(plain(title))
    for row in [*rows, *([total] if total is not None else [])]:
        for line in _lines(columns, row):
            console.print(line)
        console.print()


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], total: Sequence[Cell] | None) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column.name, justify="right" if column.figures else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(_text, row))
    if total is not None:
        table.add_section()
        table.add_row(*map(_text, total))
    return table


def _text(cell: Cell) -> Text:
    return plain(cell) if isinstance(cell, str) else Text("\n").join(map(plain, cell))


def _print(console: Console, table: Table, title: str, width: int) -> None:
    shown = plain(title)
    if cell_len(shown.plain) <= width:
        table.title = shown if title else None
    else:
        console.print(shown, style="table.title")
    console.print(table)


def _lines(columns: Sequence[Column], row: Sequence[Cell]) -> Iterator[Text]:
    for column, cell in zip(columns, row, strict=True):
        value = cell if isinstance(cell, str) else "; ".join(cell)
        if value:
            yield plain(f"{_on_a_line(column.name)}: {value}" if column.name else value)


def _on_a_line(name: str) -> str:
    return name.replace("\n", " ")
