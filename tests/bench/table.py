"""The Markdown table of a benchmark's results."""

from typing import Any

import pandas as pd

PARTS = (  # in the table's order
    *("teacher", "folding", "sweep", "loader", "training", "memory"),
    *("evaluation", "detector", "graph", "scale"),
)


def markdown(machine: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    where = machine["gpu"] or f"{machine['cores']} cores of {machine['cpu']}"
    table = pd.DataFrame([_line(row) for row in rows])
    return (
        f"Machine: {where}; torch {machine['torch']}, {machine['threads']} threads.\n\n"
        f"{table.to_markdown(index=False, disable_numparse=True)}\n"
    )


def _line(row: dict[str, Any]) -> dict[str, str]:
    ratios = row["ratios"]
    spread = f" ({min(ratios):.2f}-{max(ratios):.2f})" if len(ratios) > 1 else ""
    target = row["target"]
    met = "" if target is None else f"≥ {target:g}: {'met' if row['ratio'] >= target else 'missed'}"
    return {
        "what": row["what"],
        "unit": row["unit"],
        "ours": f"{row['ours']:,.3g}" if row["ours"] < 1000 else f"{row['ours']:,.0f}",
        "reference": (
            f"{row['reference']:,.3g}" if row["reference"] < 1000 else f"{row['reference']:,.0f}"
        ),
        "ratio (least-most of the pairs)": f"{row['ratio']:.2f}{spread}",
        "target": met,
        "reference is": row["against"],
    }
