"""The figures of metrics/figures: charts of all test sets side by side."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpe_core.common.table_files import write_csv
from hpe_core.evaluation.columns import ORACLE
from hpe_core.tables import charts, paper_tables
from hpe_core.tables.charts import Chart, Palette
from hpe_core.tables.pictures import INK, PALE, save_png
from hpe_core.tables.results import Results

# Okabe and Ito's colours, told apart by colour-blind readers too; shapes for grey prints.
COLOURS = (INK, "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_PANELS_PER_ROW = 4
_TITLE_LETTERS = 64  # of a line above a panel


def save_figures(results: Results, folder: Path) -> None:
    """Fig. 7, risk-coverage curves and errors for jittered boxes, one column per test set.

    heatmap.csv has the cells of Fig. 7, of which `dvc plots` draws the same maps.
    """
    tests, teacher, jitter = results.tests, results.teacher, results.jitter
    names = [name for test in tests for name in test.networks]
    palette = Palette.of(names, COLOURS, PALE, legend=True)
    kinds = charts.jitter_kinds(jitter)
    corpora, ensemble = results.corpora, results.published.ensemble
    write_csv(paper_tables.cells_table(tests, teacher, ensemble), folder / "heatmap.csv")
    save_charts(
        [charts.heatmap_charts(test, teacher, ensemble) for test in tests],
        ["Gain of averaging over shifted boxes, % of the MAE of one window", corpora],
        folder / "heatmap.png",
    )
    save_charts(
        [[charts.risk_chart(test, palette)] for test in tests],
        [f"MAE when the least certain faces are refused; dashed: {ORACLE}", corpora],
        folder / "risk.png",
    )
    save_charts(
        [[charts.jitter_chart(test, kind, jitter, palette)] for kind in kinds for test in tests],
        ["MAE for boxes that are moved or resized; vertical line: unchanged boxes", corpora],
        folder / "jitter.png",
        columns=len(tests),
    )


def save_charts(
    groups: Sequence[Sequence[Chart]], title: Sequence[str], path: Path, columns: int = 0
) -> None:
    """Charts as panels of one picture, each with its text under its title.

    groups: of charts that stand side by side; columns: groups per row, 0: as many as fit.
    """
    columns = columns or max(1, _PANELS_PER_ROW // max(map(len, groups)))
    rows = -(-len(groups) // columns)
    spec = {
        "title": {"text": list(title), "fontSize": 15, "offset": 12},
        "concat": [_side_by_side([_panel(chart) for chart in group]) for group in groups],
        "columns": -(-len(groups) // rows),
        "spacing": 30,
    }
    save_png(spec, path)


def _side_by_side(panels: list[dict[str, Any]]) -> dict[str, Any]:
    return {"hconcat": panels} if len(panels) > 1 else panels[0]


def _panel(chart: Chart) -> dict[str, Any]:
    subtitle = textwrap.wrap(chart.text, _TITLE_LETTERS)
    return {**chart.spec, "title": {"text": chart.title, "subtitle": subtitle}}
