"""Time and error side by side: the table, and which networks no other one beats in both."""

from pathlib import Path
from typing import Any

import pandas as pd

from hpe_core.tables.figures import COLOURS
from hpe_core.tables.pictures import PALE, save_png

NAMES = {"onnx": "float32", "int8": "int8"}  # kinds of file for ONNX Runtime


def write(results: dict[str, Any], errors: pd.DataFrame, markdown: Path, figure: Path) -> None:
    """errors: as `tests.bench.sizes` writes them."""
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
        f"Machine: one thread of {machine['cpu']}; torch {machine['torch']}. Milliseconds per "
        f"face; frames/s include the detector's {results['detector_ms']:.0f} ms per frame.\n\n"
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
        for runtime, error in zip(NAMES, ("mae", "mae_int8"), strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def save_pareto(table: pd.DataFrame, path: Path) -> None:
    """One panel per test set; a line per backbone and kind of file, a point per size in pixels."""
    tests = [name.removeprefix("mae ") for name in table if name.startswith("mae ")]
    words = "Students by pixels; dotted: none is quicker and better"
    title = {"text": words, "offset": 12, "fontSize": 14}
    panels = [panel(points(table, test), f"on {test}") for test in tests]
    save_png({"title": title, "concat": panels, "columns": len(tests)}, path)


def panel(points: pd.DataFrame, title: str) -> dict[str, Any]:
    """points: as from `points`."""
    named = points.assign(file=points["runtime"].map(NAMES))
    nominal = {"type": "nominal", "title": None, "sort": None}
    look = {
        "color": {**nominal, "field": "backbone", "scale": {"range": list(COLOURS)}},
        "detail": {"field": "file"},
    }
    shape = {"domain": list(NAMES.values()), "range": ["circle", "square"]}
    steps = front(points).to_dict("records")
    return {
        "title": title,
        "width": 500,
        "height": 370,
        "data": {"values": named.to_dict("records")},
        "encoding": {
            "x": {
                "field": "ms",
                "type": "quantitative",
                "title": "ms per face, ONNX Runtime, one thread",
                "scale": {"type": "log", "nice": False, "padding": 20},
                "axis": {"format": "~g", "tickCount": 6, "grid": False},
            },
            "y": {
                "field": "mae",
                "type": "quantitative",
                "title": "MAE, degrees",
                "scale": {"zero": False},
            },
        },
        "layer": [
            {
                "data": {"values": steps},
                "mark": {
                    "type": "line",
                    "interpolate": "step-after",
                    "strokeDash": [2, 3],
                    "color": PALE,
                },
            },
            {"mark": {"type": "line", "strokeWidth": 1}, "encoding": look},
            {
                "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1},
                "encoding": {**look, "shape": {**nominal, "field": "file", "scale": shape}},
            },
            {
                "mark": {"type": "text", "dx": 11, "dy": -6},
                "encoding": {"text": {"field": "px"}},
            },
        ],
    }
