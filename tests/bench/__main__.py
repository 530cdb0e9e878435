"""Measures the pipeline against the obvious programs and against its limits.

    python -m tests.bench [--only teacher sweep …]

Writes metrics/bench.json and metrics/bench.md. Leave the machine alone meanwhile.
"""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from hpe_core.io.files import read_json, write_json
from pipeline._compute import keep_memory
from tests.bench import graph, measuring, rows, scale, table

MEASURE = {name: getattr(rows, name, None) for name in table.PARTS} | {
    "graph": graph.no_op_repro,
    "scale": scale.stages,
}


def main(*, only: list[str], results: Path, markdown: Path) -> None:
    keep_memory()  # as every stage does
    parts = read_json(results)["parts"] if only and results.exists() else {}
    for part in tqdm(only or table.PARTS, unit="part"):
        with tempfile.TemporaryDirectory() as folder:
            parts[part] = [asdict(row) for row in MEASURE[part](Path(folder))]
        write_json({"machine": measuring.machine(), "parts": parts}, results)
    found = read_json(results)
    ordered = [row for part in table.PARTS for row in found["parts"].get(part, [])]
    markdown.write_text(table.markdown(found["machine"], ordered), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=table.PARTS, default=[])
    parser.add_argument("--results", type=Path, default=Path("metrics/bench.json"))
    parser.add_argument("--markdown", type=Path, default=Path("metrics/bench.md"))
    main(**vars(parser.parse_args()))
