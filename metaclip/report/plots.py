"""The plots of a report, as SVG: the same bytes for the same figures. No text of the web is in them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context
from matplotlib.ticker import FuncFormatter

from metaclip.config import format_t
from metaclip.report.figures import Figures
from metaclip.report.grid import steps

WIDTH, HEIGHT = 7.2, 3.9
"""Inches; an inch is 72 units of the drawing."""
OTHERS = 3
"""Other t in the cumulative plot."""
# Told apart by colour-blind readers too (Okabe and Ito 2008).
_BLACK, _BLUE, _RED, _GREEN, _ORANGE = "#111111", "#0072b2", "#d55e00", "#009e73", "#e69f00"
_SETTINGS = {
    "font.size": 10,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Plot:
    """One drawing."""

    svg: str
    points: tuple[tuple[float, float], ...] = ()
    """Where the steps of t are in it, in its own units from the upper left."""
    base: float = 0.0
    """Where its lower axis is."""


def plots(figures: Figures) -> dict[str, Plot]:
    """Draw all plots, by the name of their file."""
    return {
        "cumulative_counts": _cumulative(figures),
        "rank_count": _rank(figures),
        "size_curve": _size(figures),
    }


def _cumulative(figures: Figures) -> Plot:
    """Matches from tail to head, added up: the figure by which the paper explains t."""
    curves, groups = figures.curves, figures.curves.groups
    lines = [("all of the pool", _BLACK, groups.sums(figures.before))]
    lines += [(f"t = {_number(figures.t)}", _RED, groups.sums(figures.after))]
    colours = iter((_BLUE, _GREEN, _ORANGE))
    others = [number for number in other_steps(curves.t, figures.step, OTHERS) if number != figures.step]
    lines += [(f"t = {_number(curves.t[step])}", next(colours), curves.matches[:, step]) for step in others]
    with _drawing("cumulative") as (figure, axes):
        for label, colour, matches in lines:
            held = np.concatenate([[0], np.cumsum(matches)])
            # Where little is sampled down the lines lie on each other: the pool's shows below the rest.
            axes.plot(groups.bounds, held, label=label, color=colour, linewidth=3.2 if colour == _BLACK else 1.4)
        axes.set_xlabel("entries with matches, from tail to head")
        axes.set_ylabel("matches so far")
        axes.set_xlim(0, max(int(groups.bounds[-1]), 1))
        axes.set_ylim(bottom=0)
        _whole_numbers(axes, "xy")
        axes.legend(loc="upper left")
        return Plot(_svg(figure, "cumulative"))


def other_steps(t: npt.NDArray[np.float64], step: int, wanted: int) -> list[int]:
    """Choose steps to compare with: factors of ten from `step`, below it first, then above."""
    chosen: list[int] = []
    for factor in (0.1, 10.0, 0.01, 100.0):
        near = int(np.argmin(np.abs(np.log(t) - np.log(t[step] * factor))))
        if t[0] <= t[step] * factor <= t[-1] and near not in (step, *chosen):
            chosen.append(near)
    return sorted(chosen[:wanted])


def _rank(figures: Figures) -> Plot:
    """Matches of entries by their rank, before and after."""
    head_first = figures.curves.groups.order[::-1]
    ranks = steps(len(head_first)).astype(np.int64)
    ranks = np.append(ranks[ranks < len(head_first)], len(head_first))
    with _drawing("rank") as (figure, axes):
        axes.set_xscale("log")
        axes.set_yscale("log")
        if len(head_first):
            after = np.sort(figures.after[head_first])[::-1]
            axes.plot(ranks, figures.before[head_first][ranks - 1], color=_BLACK, label="all of the pool")
            axes.plot(ranks, np.where(after > 0, after, np.nan)[ranks - 1], color=_RED, label="the set")
            if np.isfinite(figures.t):
                axes.axhline(figures.t, color=_BLUE, linewidth=0.9, linestyle="--", label=f"t = {_number(figures.t)}")
            axes.legend()
        axes.set_xlabel("rank, each by its own counts")
        axes.set_ylabel("matches of the entry")
        _whole_numbers(axes, "xy")
        return Plot(_svg(figure, "rank"))


def _size(figures: Figures) -> Plot:
    """Pairs kept, and the tail's share of matches, by t."""
    curve = figures.content["curve"]
    with _drawing("size") as (figure, axes):
        axes.set_xscale("log")
        axes.plot(curve["t"], curve["pairs"], color=_RED, label="pairs in the set (left)")
        axes.set_xlabel("t")
        axes.set_ylabel("pairs")
        axes.set_ylim(bottom=0, top=max(curve["pairs"][-1], 1) * 1.05)
        _whole_numbers(axes, "xy")
        shares = axes.twinx()
        shares.grid(visible=False)
        shares.plot(
            curve["t"], [share or 0 for share in curve["tail_share"]], color=_BLUE, label="tail's share (right)"
        )
        shares.set_ylim(0, 1.05)
        shares.spines["right"].set_visible(True)
        shares.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        handles = [*axes.get_lines(), *shares.get_lines()]
        axes.legend(handles=handles, loc="upper left")
        figure.draw_without_rendering()
        placed = axes.transData.transform(np.column_stack([curve["t"], curve["pairs"]]))
        points = tuple((round(float(x), 2), round(HEIGHT * 72 - float(y), 2)) for x, y in placed)
        base = round(HEIGHT * 72 - float(axes.transData.transform((1.0, 0.0))[1]), 2)
        return Plot(_svg(figure, "size"), points, base)


@contextmanager
def _drawing(name: str) -> Iterator[tuple[Figure, Axes]]:
    # Ids within a drawing come from the salt, and a page that holds several needs them distinct.
    settings = {**_SETTINGS, "svg.hashsalt": name}
    with context(["default", settings]):
        figure = Figure(figsize=(WIDTH, HEIGHT), dpi=72)
        axes = figure.add_axes((0.13, 0.14, 0.76, 0.82))
        yield figure, axes


def _svg(figure: Figure, name: str) -> str:
    sink = io.StringIO()
    figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None, "Title": name})
    svg = sink.getvalue()
    return "\n".join(line.rstrip() for line in svg[svg.index("<svg") :].splitlines()) + "\n"


def _whole_numbers(axes: Axes, which: str) -> None:
    formatter = FuncFormatter(lambda value, _: short_number(value))
    for axis in which:
        (axes.xaxis if axis == "x" else axes.yaxis).set_major_formatter(formatter)


def short_number(value: float) -> str:
    """Write a number in a few characters: `950`, `1.2k`, `40M`, `1.6B`."""
    for scale, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale:
            return f"{value / scale:.3g}{letter}"
    return f"{value:.3g}"


def _number(t: float) -> str:
    return f"{t:,.0f}" if t == np.floor(t) and np.isfinite(t) else format_t(t)
