"""Measures the pipeline against the obvious programs and against its limits.

    python -m tests.bench [--only teacher sweep …]

Writes metrics/bench.json and metrics/bench.md. Leave the machine alone meanwhile.
"""

import tempfile
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from hpe_core.common.files import read_json, write_json
from hpe_core.common.stage import run
from hpe_core.work.device import keep_memory
from tests.bench import graph, measuring, rows, scale, table

MEASURE = {name: getattr(rows, name, None) for name in table.PARTS} | {
    "graph": graph.commands,
    "scale": scale.stages,
}


def main(
    *,
    only: tuple[table.Part, ...] = (),
    results: Path = Path("metrics/bench.json"),
    markdown: Path = Path("metrics/bench.md"),
) -> None:
    keep_memory()  # as every stage does
    here = measuring.machine()
    before = read_json(results) if only and results.exists() else {"machine": here, "parts": {}}
    parts = before["parts"]
    for part in tqdm(only or table.PARTS, unit="part"):
        with tempfile.TemporaryDirectory() as folder:
            parts[part] = [asdict(row) for row in MEASURE[part](Path(folder))]
        if here["cpu"] != before["machine"]["cpu"]:  # that of all other rows
            for row in parts[part]:
                row["notes"]["machine"] = here["cpu"]
        write_json({"machine": before["machine"], "parts": parts}, results)
    found = read_json(results)
    ordered = [row for part in table.PARTS for row in found["parts"].get(part, [])]
    markdown.write_text(table.markdown(found["machine"], ordered), encoding="utf-8")


if __name__ == "__main__":
    run(main)
