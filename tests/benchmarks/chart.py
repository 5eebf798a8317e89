"""The chart for the README: `python -m tests.benchmarks.chart RESULTS.json CHART.png` draws it anew from what was measured."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.contenders import ALL, STORES

OURS = "agentflow"
BARE = "bare"
COLORS = {OURS: "#2563eb", BARE: "#94a3b8"}
PEER = "#d6d3d1"
INK = "#1c1917"
TITLES = {"sqlite": "SQLite, or a server of its own", "postgres": "PostgreSQL"}
INCHES = (12.0, 6.4)
DOTS_PER_INCH = 150
TWO_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure, of all contenders."""

    key: str
    title: str
    unit: str


PANELS = (
    Panel("W1", "One durable step", "ms, less is better"),
    Panel("W2", "Runs of 5 steps, one worker", "per second, more is better"),
    Panel("W3", "Start to result", "ms, less is better"),
    Panel("W4", "Answer to next line", "ms, less is better"),
)


def draw(told: Mapping[str, Any], path: Path) -> None:
    """Draw medians as bars on a logarithmic scale. Raises `ModuleNotFoundError` where matplotlib is not installed."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("agg")
    plots: Any = importlib.import_module("matplotlib.pyplot")
    medians: Mapping[str, Mapping[str, float]] = told["medians"]
    stores = [store for store in STORES if f"{OURS}/{store}" in medians]
    figure, axes = plots.subplots(len(stores), len(PANELS), figsize=(INCHES[0], INCHES[1] * len(stores) / 2), squeeze=False)
    for row, store in zip(axes, stores, strict=True):
        for axis, panel in zip(row, PANELS, strict=True):
            _bars(axis, panel, _values(medians, store, panel.key))
        row[0].annotate(TITLES[store], (0, 1), (0, 26), "axes fraction", "offset points", fontsize=11, fontweight="bold", color=INK)
    figure.text(0.01, 0.008, _footnote(told), fontsize=7, color="#78716c")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    plots.close(figure)


def _values(medians: Mapping[str, Mapping[str, float]], store: str, key: str) -> dict[str, float]:
    found = {one.name: medians.get(one.key, {}).get(key) for one in ALL if one.store == store}
    return {name: value for name, value in found.items() if value}


def _bars(axis: Any, panel: Panel, values: Mapping[str, float]) -> None:
    names = list(values)[::-1]
    heights = [values[name] for name in names]
    bars = axis.barh(names, heights, color=[COLORS.get(name, PEER) for name in names], height=0.7)
    axis.bar_label(bars, labels=[_number(value) for value in heights], padding=3, fontsize=8, color=INK)
    axis.set_xscale("log")
    if heights:
        axis.set_xlim(min(heights) / 3, max(heights) * 6)
    axis.set_title(f"\n\n{panel.title}", loc="left", fontsize=9, color=INK)
    axis.set_xlabel(panel.unit, fontsize=8, color=INK)
    axis.tick_params(axis="y", labelsize=8, length=0)
    axis.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    for side in ("top", "right", "bottom"):
        axis.spines[side].set_visible(False)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= TWO_DIGITS else f"{value:.2g}"


def _footnote(told: Mapping[str, Any]) -> str:
    machine = told["machine"]
    where = f"{machine['cores']} cores, Python {machine['python']}, {told['at'][:10]}"
    return f"make bench: medians of one race ({where}); logarithmic; every contender as durable as it can be; bare: commits alone"


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
