"""The plots of a report, as SVG: the same bytes for the same figures. They contain no text from the web."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context
from matplotlib.ticker import FuncFormatter, LogFormatter

from metaclip.config.settings import format_t
from metaclip.report.curves import steps
from metaclip.report.figures import Figures

WIDTH, HEIGHT = 7.2, 3.9
"""In inches; an inch is 72 units of the drawing."""
POINTS = 3000
"""Points of a scatter at most; equal ones are one."""
LANGUAGES = 40
"""Number of largest languages that are drawn."""
OTHERS = 3
"""Number of other t in the cumulative plot."""
# Colour-blind readers can distinguish them too (Okabe and Ito 2008).
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
    """Positions of the steps of t, in units of the drawing from the upper left."""
    base: float = 0.0
    """Position of its lower axis."""


def plots(figures: Figures) -> dict[str, Plot]:
    """Draw all plots, and return them by file name."""
    drawn = {
        "cumulative_counts": _cumulative(figures),
        "rank_count": _rank(figures),
        "size_curve": _size(figures),
        "before_after": _before_after(figures),
    }
    return drawn | ({"languages": _languages(figures)} if "by_language" in figures.content else {})


def _cumulative(figures: Figures) -> Plot:
    """Cumulative matches from tail to head: the paper's figure that explains t, and its steep end enlarged."""
    curves, groups = figures.curves, figures.curves.groups
    others = [step for step in other_steps(curves.t, figures.step, OTHERS) if step != figures.step]
    colours = iter((_BLUE, _GREEN, _ORANGE))
    lines = [(curves.t[step], next(colours), 1.3, curves.matches[:, step]) for step in others]
    lines.append((figures.t, _RED, 1.8, groups.sums(figures.after)))
    entries = int(groups.bounds[-1])
    with _drawing("cumulative", panels=2) as (figure, axes):
        whole, head = axes
        # From the largest t down, so that a line of a smaller t is drawn over that of a larger one.
        lines = [(np.inf, _BLACK, 3.2, groups.sums(figures.before)), *sorted(lines, key=lambda line: -line[0])]
        for number, (t, colour, width, matches) in enumerate(lines):
            held = np.concatenate([[0], np.cumsum(matches)])
            label = f"t = {_number(t)}" if number else "all of the pool"
            whole.plot(groups.bounds, held, label=label, color=colour, linewidth=width)
            # The entry of rank r from the head, and all entries below it.
            head.plot(entries - groups.bounds[1:] + 1, held[1:], color=colour, linewidth=width)
        whole.set_xlabel("entries, from tail to head")
        whole.set_ylabel("matches so far")
        whole.set_xlim(0, max(entries, 1))
        whole.set_ylim(bottom=0)
        head.set_xscale("log")
        head.set_xlim(max(entries, 2), 1)
        head.set_xlabel("rank from the head, logarithmic")
        _whole_numbers(whole, "xy")
        _whole_numbers(head, "x")
        whole.legend(loc="upper left")
        return Plot(_svg(figure, "cumulative"))


def other_steps(t: npt.NDArray[np.float64], step: int, wanted: int) -> list[int]:
    """Choose steps to compare with: at factors of ten from `step`, below it first, then above."""
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
    with _drawing("rank") as (figure, (axes,)):
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
    """Pairs kept, and below it, with the same t, the tail's share of matches."""
    curve = figures.content["curve"]
    with _drawing("size") as (figure, (axes,)):
        axes.set_position((0.13, 0.46, 0.83, 0.5))
        shares = figure.add_axes((0.13, 0.14, 0.83, 0.26), sharex=axes)
        axes.set_xscale("log")
        axes.plot(curve["t"], curve["pairs"], color=_RED)
        axes.tick_params(labelbottom=False)
        axes.set_ylabel("pairs in the set")
        axes.set_ylim(bottom=0, top=max(curve["pairs"][-1], 1) * 1.05)
        _whole_numbers(axes, "y")
        shares.plot(curve["t"], [share or 0 for share in curve["tail_share"]], color=_BLUE)
        shares.set_ylim(0, 1.05)
        shares.set_xlabel("t")
        shares.set_ylabel("tail's share")
        shares.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        _whole_numbers(shares, "x")
        figure.draw_without_rendering()
        placed = axes.transData.transform(np.column_stack([curve["t"], curve["pairs"]]))
        points = tuple((round(float(x), 2), round(HEIGHT * 72 - float(y), 2)) for x, y in placed)
        base = round(HEIGHT * 72 - float(shares.transData.transform((1.0, 0.0))[1]), 2)
        return Plot(_svg(figure, "size"), points, base)


def _before_after(figures: Figures) -> Plot:
    """Matches of entries in the set against those in the pool, with what t alone would leave."""
    found = np.unique(np.column_stack([figures.before, figures.after])[figures.before > 0], axis=0)
    if len(found) > POINTS:
        found = found[np.linspace(0, len(found) - 1, POINTS).astype(np.int64)]
    before, after = found[:, 0].astype(np.float64), found[:, 1].astype(np.float64)
    with _drawing("before_after") as (figure, (axes,)):
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=1)
        if len(before):
            axes.plot(before, after, ".", color=_RED, markersize=3.5, alpha=0.6, label="entries")
            ladder = steps(int(before.max()))
            capped = np.minimum(ladder, figures.t)
            axes.plot(ladder, capped, color=_BLUE, linewidth=1.2, label="min(matches, t)")
            axes.legend(loc="upper left")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("matches in the pool")
        axes.set_ylabel("matches in the set")
        _whole_numbers(axes, "xy")
        return Plot(_svg(figure, "before_after"))


def _languages(figures: Figures) -> Plot:
    """Pairs of each language in the pool and in the set, the largest languages first."""
    rows = [row for row in figures.content["by_language"] if row["pairs"]][:LANGUAGES]
    places = np.arange(len(rows))
    with _drawing("languages") as (figure, (axes,)):
        axes.bar(places - 0.2, [row["pairs"] for row in rows], 0.4, color=_BLACK, label="pairs of the pool")
        axes.bar(places + 0.2, [row["set"] for row in rows], 0.4, color=_RED, label="pairs of the set")
        # From 0 up, and in factors of ten from 1 on.
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
        axes.set_xticks(places, [row["language"] for row in rows], rotation=90, parse_math=False)
        axes.set_ylabel("pairs")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
        axes.legend(loc="upper right")
        return Plot(_svg(figure, "languages"))


@contextmanager
def _drawing(name: str, panels: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure with axes next to each other that share their vertical scale."""
    # Ids in a drawing come from the salt, and must differ between the drawings of a page.
    settings = {**_SETTINGS, "svg.hashsalt": name}
    with context(["default", settings]):
        figure = Figure(figsize=(WIDTH, HEIGHT), dpi=72)
        width = (0.87 if panels > 1 else 0.76) / panels
        axes: list[Axes] = []
        for number in range(panels):
            place = (0.1 + number * width, 0.14, width - 0.025, 0.82) if panels > 1 else (0.13, 0.14, width, 0.82)
            axes.append(figure.add_axes(place, sharey=axes[0] if axes else None))
            if number:
                axes[number].tick_params(labelleft=False)
        yield figure, axes


def _svg(figure: Figure, name: str) -> str:
    sink = io.StringIO()
    figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None, "Title": name})
    svg = sink.getvalue()
    return "\n".join(line.rstrip() for line in svg[svg.index("<svg") :].splitlines()) + "\n"


def _whole_numbers(axes: Axes, which: str) -> None:
    formatter = FuncFormatter(lambda value, _: short_number(value))
    for axis in (axes.xaxis if name == "x" else axes.yaxis for name in which):
        axis.set_major_formatter(formatter)
        if axis.get_scale() == "log":  # if an axis spans less than a factor of ten, its minor ticks are labelled too
            axis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))


def short_number(value: float) -> str:
    """Format a number in a few characters: `950`, `1.2k`, `40M`, `1.6B`."""
    for scale, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale:
            return f"{value / scale:.3g}{letter}"
    return f"{value:.3g}"


def _number(t: float) -> str:
    return f"{t:,.0f}" if t == np.floor(t) and np.isfinite(t) else format_t(t)
