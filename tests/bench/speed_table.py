"""Time and error side by side: the table, and which networks no other one beats in both."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from hpe_core.io.figures import INK, PALE, new_figure, save_png

# Kinds of file for ONNX Runtime, and how their points are filled.
RUNTIMES: dict[str, dict[str, Any]] = {"onnx": {"mfc": "white"}, "int8": {}}
NAMES = {"onnx": "float32", "int8": "int8"}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK, PALE)


def write(results: dict[str, Any], errors: pd.DataFrame, markdown: Path, figure: Path) -> None:
    """errors: as `tests.experiments.sizes` writes them."""
    table = joined(results, errors)
    markdown.write_text(page(results, table), encoding="utf-8")
    save_pareto(table, figure)


def joined(results: dict[str, Any], errors: pd.DataFrame) -> pd.DataFrame:
    """A row a network that was timed; its errors as in `students`, where they are known."""
    timed = pd.json_normalize(results["networks"])
    return timed.merge(students(errors), "left", ["backbone", "px"])


def students(errors: pd.DataFrame) -> pd.DataFrame:
    """Backbone, px, and the mean over the seeds: (mae, test) and (mae_int8, test)."""
    kept = errors[errors["network"].str.startswith("kd-")]
    means = kept.pivot_table(["mae", "mae_int8"], ["backbone", "px"], "test", aggfunc="mean")
    means.columns = [f"{kind} {test}" for kind, test in means.columns]
    return means.reset_index()


def page(results: dict[str, Any], table: pd.DataFrame) -> str:
    machine = results["machine"]
    tests = [name.removeprefix("mae ") for name in table if name.startswith("mae ")]
    lines = pd.DataFrame(
        {
            "network": table["backbone"],
            "px": table["px"],
            "parameters": (table["parameters"] / 1e6).map("{:.1f} M".format),
            "MB (int8)": [
                f"{a / 1e6:.1f} ({b / 1e6:.1f})"
                for a, b in zip(table["bytes"], table["int8_bytes"], strict=True)
            ],
            "PyTorch": table["torch.ms"].map("{:.2f}".format),
            "ONNX": table["onnx.ms"].map("{:.2f}".format),
            "int8": table["int8.ms"].map("{:.2f}".format),
            "ONNX, int8 ÷ ResNet18 64": [
                f"{a:.2f}, {b:.2f}"
                for a, b in zip(table["onnx.ratio"], table["int8.ratio"], strict=True)
            ],
            "frames/s": (1e3 / table["video.ms"]).map("{:.0f}".format),
            **{f"MAE {test} (int8)": _errors(table, test) for test in tests},
        }
    )
    return (
        f"Machine: one thread of {machine['cpu']}; torch {machine['torch']}. Milliseconds a face; "
        f"the detector takes {results['detector_ms']:.0f} ms a frame, within frames/s, too.\n\n"
        f"{lines.to_markdown(index=False, disable_numparse=True)}\n"
    )


def _errors(table: pd.DataFrame, test: str) -> list[str]:
    pairs = zip(table[f"mae {test}"], table[f"mae_int8 {test}"], strict=True)
    return ["–" if pd.isna(mae) else f"{mae:.2f} ({small:.2f})" for mae, small in pairs]


def front(points: pd.DataFrame) -> pd.DataFrame:
    """Of points (ms, mae): those for which none is as quick and better, quickest first."""
    ordered = points.sort_values(["ms", "mae"])
    return ordered[ordered["mae"] < ordered["mae"].cummin().shift(fill_value=float("inf"))]


def points(table: pd.DataFrame, test: str) -> pd.DataFrame:
    """One row a measured network and runtime: backbone, px, runtime, ms, mae."""
    known = table.dropna(subset=[f"mae {test}"])
    parts = [
        known[["backbone", "px"]].assign(
            runtime=runtime, ms=known[f"{runtime}.ms"], mae=known[f"{error} {test}"]
        )
        for runtime, error in zip(RUNTIMES, ("mae", "mae_int8"), strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def save_pareto(table: pd.DataFrame, path: Path) -> None:
    """One panel a test set; a line a backbone and kind of file, a point a size in pixels."""
    tests = [name.removeprefix("mae ") for name in table if name.startswith("mae ")]
    with new_figure(5.0 * len(tests), 4.4) as figure:
        grid = figure.subplots(1, len(tests), squeeze=False)
        for axes, test in zip(grid.flat, tests, strict=True):
            _draw(axes, points(table, test), test)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=4, frameon=False, fontsize=8)
        save_png(figure, path)


def _draw(axes: Axes, points: pd.DataFrame, test: str) -> None:
    colours = dict(zip(points["backbone"].unique(), _COLOURS, strict=False))
    for (backbone, runtime), own in points.groupby(["backbone", "runtime"], sort=False):
        look = {"color": colours[backbone], "ms": 5, "lw": 0.8} | RUNTIMES[runtime]
        axes.plot(own["ms"], own["mae"], marker="o", label=f"{backbone} {NAMES[runtime]}", **look)
    for px, ms, mae in points[["px", "ms", "mae"]].itertuples(index=False):
        axes.annotate(f"{px}", (ms, mae), (4, 3), textcoords="offset points", fontsize=6.5)
    best = front(points)
    label = "none is quicker and better"
    axes.plot(best["ms"], best["mae"], color=PALE, ls=":", drawstyle="steps-post", label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_title(f"students on {test}, by pixels", fontsize=9, loc="left", color=INK)
    axes.set_xlabel("ms a face, ONNX Runtime, one thread", fontsize=8)
    axes.set_ylabel("MAE, degrees", fontsize=8)
    axes.tick_params(labelsize=7)
