"""The paper's tables and its heat map from all metrics, the published values beside ours.

metrics of every test set, counts, published tables, template → tables (CSV, Markdown), figures,
the MAE of every network as one metrics file, a model card a protocol
"""

import argparse
from pathlib import Path

from hpe_core import paper_tables
from hpe_core.io.curves import RiskPanel, save_jitter, save_risk_coverage
from hpe_core.io.figures import HeatMap, save_heatmaps
from hpe_core.io.files import atomic, write_json
from hpe_core.paper_tables import TestSet
from hpe_core.predictions import ORACLE
from hpe_core.readable import markdown
from hpe_core.sheets import Results, Sheet, all_sheets, headline, sheet_markdown
from pipeline._cli import run
from pipeline._model_cards import write_cards
from pipeline._results import Folders, add_folders, read_results

PAGE = """# Head pose: base network, offset ensemble, students

Ours: **{corpora}**.
The columns that begin with “paper” are the published values, measured on the real corpora: ours
compare with them only if they were, too.

Errors in degrees. MAE: mean of pitch, yaw and roll; gain: share of the base network's MAE that is
saved; geodesic: angle of the rotation between prediction and truth. Where there are several seeds,
errors are their means, ± the standard deviation over the seeds. {level}: where the MAE would lie on
other faces of the same kind (bootstrap); * the difference from the base network is more than the
choice of these faces explains (p < 0.05; every pair: comparisons.md). How well the networks know
where they err: uncertainty.md and figures/risk.png.

Ensemble, and teacher of the students: {teacher}.

{results}

## Ensembles of every K and d

Shifts alone: a teacher that turns and mirrors faces, too, has its numbers above.
`best` was looked up on the test set itself: it shows what there is to gain, and nothing uses it.
K and d are pixels of the network's input, which is 224 x 224 in the paper. All from the base
network of the first seed.

{sweep}

## Faces

{faces}
"""


def main(
    *,
    params: Path,
    calibration: Path,
    card: Path,
    tables: Path,
    summary: Path,
    figures: Path,
    **folders: Path,
) -> None:
    """folders: as `Folders` names them."""
    results = read_results(params, Folders(**folders))
    for sheet in all_sheets(results):
        write_sheet(sheet, results.corpora, tables)
    write_text(summary_page(results), tables / "summary.md")
    write_json(headline(results), summary)
    write_cards(params, results, calibration, card, tables)
    write_figures(results, figures)


def write_sheet(sheet: Sheet, corpora: str, folder: Path) -> None:
    """As CSV and Markdown, and in both the corpora that its numbers come from."""
    with atomic(folder / f"{sheet.name}.csv") as temporary:
        labelled = sheet.table.round(4).assign(corpora=corpora)
        labelled.to_csv(temporary, index=False, lineterminator="\n")
    write_text(sheet_markdown(sheet, corpora), folder / f"{sheet.name}.md")


def summary_page(results: Results) -> str:
    """The page that `make demo` prints."""
    names = {test.name: test.title for test in results.tests}
    published = results.published
    errors = paper_tables.results_table(results.tests, published.methods).drop(columns="faces")
    sweep = paper_tables.sweep_table(results.tests, results.teacher, published.ensemble)
    faces = paper_tables.counts_table(results.train, results.tests, published.counts)
    return PAGE.format(
        corpora=results.corpora,
        teacher=results.teacher_text,
        level=paper_tables.INTERVAL,
        results=markdown(errors.assign(test=errors["test"].map(names)), once=["test"]),
        sweep=markdown(sweep.assign(test=sweep["test"].map(names)), digits=3),
        faces=markdown(faces.drop(columns="paper_note"), once=["protocol"]),
    )


def write_figures(results: Results, folder: Path) -> None:
    panels = [
        HeatMap(t.title, t.cells, results.teacher, paper_tables.best_cell(t.cells))
        for t in results.tests
    ]
    title = f"MAE of the offset ensemble, degrees\n{results.corpora}"
    save_heatmaps(panels, title, folder / "heatmap.png")
    title = f"MAE where the least certain faces are refused\n{results.corpora}"
    save_risk_coverage([risk_panel(t) for t in results.tests], title, folder / "risk.png")
    title = f"MAE for boxes that are moved or resized\n{results.corpora}"
    levels = results.jitter
    labels = levels["test"] + ", " + levels["faces"].astype("str") + " faces"
    save_jitter(levels.assign(test=labels), title, folder / "jitter.png")


def risk_panel(test: TestSet) -> RiskPanel:
    curves = {str(name): curve for name, curve in test.risk.groupby("network")}
    oracle = curves[ORACLE]
    return RiskPanel(test.title, {name: curves[name] for name in test.networks}, "base", oracle)


def write_text(text: str, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    add_folders(parser)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True, help="template of the model cards")
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--figures", type=Path, required=True)
    run(main, parser)
