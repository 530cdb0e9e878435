"""The Markdown table of a benchmark's results."""

from typing import Any, Literal, get_args

import pandas as pd

Part = Literal[
    "teacher", "folding", "offsets", "sweep", "loader", "training", "memory", "evaluation",
    "detector", "video", "graph", "scale",
]  # fmt: skip
PARTS: tuple[Part, ...] = get_args(Part)  # in the table's order


def markdown(machine: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    where = machine["gpu"] or f"{machine['cores']} cores of {machine['cpu']}"
    table = pd.DataFrame([_line(row) for row in rows])
    return (
        f"Machine: {where}; torch {machine['torch']}, {machine['threads']} threads.\n\n"
        f"{table.to_markdown(index=False, disable_numparse=True)}\n"
    )


def _line(row: dict[str, Any]) -> dict[str, str]:
    ratios, target = row["ratios"], row["target"]
    spread = f" ({min(ratios):.2f}-{max(ratios):.2f})" if len(ratios) > 1 else ""
    met = "met" if target is not None and row["ratio"] >= target else "missed"
    return {
        "what": row["what"],
        "unit": row["unit"],
        "ours": _number(row["ours"]),
        "reference": _number(row["reference"]),
        "ratio (all pairs)": f"{row['ratio']:.2f}{spread}",
        "target": "" if target is None else f"≥ {target:g}: {met}",
        "reference is": row["against"],
        "also": "; ".join(f"{name}: {_note(note)}" for name, note in row["notes"].items()),
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _note(note: Any) -> str:
    if isinstance(note, str):
        return note
    return " / ".join(map(_note, note.values())) if isinstance(note, dict) else _number(note)
