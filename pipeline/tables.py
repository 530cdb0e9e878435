"""The paper's tables and its heat map from all metrics, the published values beside ours.

    metrics of every test set, counts, published tables → tables (CSV, Markdown), figures

Only what params.yaml lists is read: folders may hold results of tests that are no longer there.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hpe_core import paper_tables
from hpe_core.errors import InputError
from hpe_core.io.curves import RiskPanel, save_jitter, save_risk_coverage
from hpe_core.io.figures import HeatMap, save_heatmaps
from hpe_core.io.files import atomic, read_json
from hpe_core.io.tables import read_csv
from hpe_core.paper_tables import Cell, Published, TestSet, TrainingSet, markdown
from hpe_core.params.learning import Base, Ensemble
from hpe_core.params.loading import load
from hpe_core.params.protocols import Imported, Protocol, Students, Test
from hpe_core.params.results import Tables
from hpe_core.predictions import ORACLE
from pipeline._cli import run

PAPER = "Columns that begin with “paper” are the published values, measured on the real corpora."
PIXELS = (
    " K and d are pixels of the network's input, which is 224 x 224 in the paper. All from the base"
    " network of the first seed."
)
RANKS = (
    " pitch, yaw, roll, face: Spearman's correlation of uncertainty and |error|; of oracle: how"
    " much of the gain is reached that refusing the worst faces first has (1: all, 0: as chance)."
    " Below: the share of faces whose error is within ±1 std; where it is calibrated, on validation"
    " faces, it should be 0.68."
)
JITTER = (
    " Shift: share of the box's side by which it moves, mean over four directions; scale: factor of"
    " its sides. Loss: by how much the MAE is larger than for the box as it is, on the same faces;"
    " the least of each test set is bold."
)
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
    tests: Path,
    bands: Path,
    cells: Path,
    intervals: Path,
    comparisons: Path,
    uncertainty: Path,
    risk: Path,
    jitter: Path,
    counts: Path,
    sets: Path,
    leaks: Path,
    imported: Path,
    published: Path,
    tables: Path,
    figures: Path,
) -> None:
    protocols = load(params, "protocols", dict[str, Protocol])
    grid = load(params, "ensemble", Ensemble)
    corpora = load(params, "tables", Tables).corpora
    backbone = load(params, "base", Base).backbone
    foreign = load(params, "imported", dict[str, Imported])
    folders = Folders(
        tests, bands, cells, intervals, comparisons, uncertainty, risk, leaks, imported
    )
    measured = read_tests(params, protocols, foreign, folders)
    paper = read_published(published)
    datasets = dict.fromkeys(
        [*(p.train for p in protocols.values()), *(t.dataset for t in measured)]
    )
    counted = {name: read_json(counts / f"{name}.json") for name in datasets}
    train = {
        name: TrainingSet(p.train, **read_json(sets / f"{name}.json"))
        for name, p in protocols.items()
    }
    teacher = (grid.K, grid.d)
    named = paper_tables.windows_text(grid.K, grid.d, grid.turns_deg, grid.flip)

    writer = Writer(tables, corpora)
    faces = paper_tables.counts_table(train, measured, paper.counts)
    kept = paper_tables.corpora_table(counted)
    writer.write("table1", "Table 1: faces of every protocol", faces, once=["protocol"], more=kept)
    for protocol in protocols:
        write_ensemble(writer, protocol, measured, teacher, paper.ensemble)
    placed = {key for test in measured for key in test.imported}
    elsewhere = {
        key: (network.dataset, read_json(imported / f"{key}.json"))
        for key, network in foreign.items()
        if key not in placed
    }
    methods = paper_tables.methods_table(measured, elsewhere, backbone, named, paper.methods)
    writer.write("table5", "Table 5: methods", methods, once=["test"], bold=["avg", "paper_avg"])
    by_yaw = paper_tables.bands_table(measured)
    beside = paper_tables.bands_side_by_side(by_yaw)
    writer.write("bands", "MAE by bands of |yaw|, degrees", by_yaw, once=["test"], page=beside)
    write_comparisons(writer, measured)
    write_uncertainty(writer, measured)
    levels = paper_tables.jitter_by_level(read_jitter(measured, jitter))
    lost = paper_tables.jitter_table(levels)
    bold = [str(name) for name in lost if str(name).endswith("_loss")]
    title = "Sensitivity to the box: errors for boxes that are moved or resized"
    writer.write("jitter", title, lost, once=["test"], bold=bold, note=JITTER)
    results = paper_tables.results_table(measured, paper.methods)
    sweep = paper_tables.sweep_table(measured, teacher, paper.ensemble)
    page = summary_page(corpora, named, measured, results, sweep, faces)
    write_text(page, tables / "summary.md")
    panels = [HeatMap(t.title, t.cells, teacher, paper_tables.best_cell(t.cells)) for t in measured]
    title = f"MAE of the offset ensemble, degrees\n{corpora}"
    save_heatmaps(panels, title, figures / "heatmap.png")
    title = f"MAE where the least certain faces are refused\n{corpora}"
    save_risk_coverage([risk_panel(t) for t in measured], title, figures / "risk.png")
    title = f"MAE for boxes that are moved or resized\n{corpora}"
    labels = levels["test"] + ", " + levels["faces"].astype("str") + " faces"
    save_jitter(levels.assign(test=labels), title, figures / "jitter.png")


class Writer:
    """Each table as CSV and Markdown, and in both the corpora that its numbers come from."""

    def __init__(self, folder: Path, corpora: str) -> None:
        self.folder, self.corpora = folder, corpora

    def write(
        self,
        name: str,
        title: str,
        table: pd.DataFrame,
        digits: int = 2,
        once: list[str] | None = None,
        bold: list[str] | None = None,
        page: pd.DataFrame | None = None,
        more: pd.DataFrame | None = None,
        note: str = "",
    ) -> None:
        """page: what the page shows instead of `table`; more: a second table below it."""
        with atomic(self.folder / f"{name}.csv") as temporary:
            labelled = table.round(4).assign(corpora=self.corpora)
            labelled.to_csv(temporary, index=False, lineterminator="\n")
        parts = [f"# {title}", f"Ours: **{self.corpora}**. {PAPER}{note}"]
        parts += [markdown(table if page is None else page, digits, once or [], bold or [])]
        parts += [markdown(more, digits)] if more is not None else []
        write_text("\n\n".join(parts) + "\n", self.folder / f"{name}.md")


def write_ensemble(
    writer: Writer, protocol: str, sets: list[TestSet], teacher: Cell, published: pd.DataFrame
) -> None:
    """Tables 2 to 4 for the paper's protocols, `ensemble-<protocol>` for any other."""
    own = [test for test in sets if test.protocol == protocol]
    if not own:
        return
    numbers = published.loc[published["protocol"] == protocol, "table"].unique()
    name = f"table{numbers[0]}" if len(numbers) else f"ensemble-{protocol}"
    heading = f"Table {numbers[0]}" if len(numbers) else "Ensemble"
    table = paper_tables.ensemble_table(own, teacher, published)
    title = f"{heading}: errors of the offset ensemble, protocol {protocol}"
    writer.write(
        name, title, table, digits=3, once=["test"], bold=["avg", "paper_avg"], note=PIXELS
    )


def write_comparisons(writer: Writer, sets: list[TestSet]) -> None:
    table = paper_tables.comparisons_table(sets)
    title, page = "Is one network better than another?", paper_tables.comparisons_text(table)
    note = f" {paper_tables.COMPARED}."
    writer.write("comparisons", title, table, 3, once=["test", "a"], page=page, note=note)


def write_uncertainty(writer: Writer, sets: list[TestSet]) -> None:
    """One row an uncertainty in the CSV; in the page ranks first, then the coverage of the std."""
    table = paper_tables.uncertainty_table(sets)
    covered = [name for name in table if str(name).startswith("covered_")] + ["calibrated"]
    of_std = table.loc[table["uncertainty"] == "std", ["test", "network", *covered]]
    title, once = "Do the networks know where they err?", ["test", "network"]
    ranks = table.drop(columns=covered)
    writer.write("uncertainty", title, table, once=once, page=ranks, more=of_std, note=RANKS)


def risk_panel(test: TestSet) -> RiskPanel:
    curves = {str(name): curve for name, curve in test.risk.groupby("network")}
    oracle = curves[ORACLE]
    return RiskPanel(test.title, {name: curves[name] for name in test.networks}, "base", oracle)


def summary_page(
    corpora: str,
    teacher: str,
    sets: list[TestSet],
    results: pd.DataFrame,
    sweep: pd.DataFrame,
    faces: pd.DataFrame,
) -> str:
    """The page that `make demo` prints."""
    names = {test.name: test.title for test in sets}
    return PAGE.format(
        corpora=corpora,
        teacher=teacher,
        level=paper_tables.INTERVAL,
        results=markdown(
            results.assign(test=results["test"].map(names)).drop(columns="faces"), once=["test"]
        ),
        sweep=markdown(sweep.assign(test=sweep["test"].map(names)), digits=3),
        faces=markdown(faces.drop(columns="paper_note"), once=["protocol"]),
    )


@dataclass(frozen=True)
class Folders:
    """Where `evaluate`, `leaks` and `imported` write: a file a test set, protocol or network."""

    tests: Path
    bands: Path
    cells: Path
    intervals: Path
    comparisons: Path
    uncertainty: Path
    risk: Path
    leaks: Path
    imported: Path


def read_tests(
    params: Path, protocols: dict[str, Protocol], foreign: dict[str, Imported], folders: Folders
) -> list[TestSet]:
    """The test sets of params.yaml in its order. Raises InputError for a missing network."""
    expected = ["base", "ensemble", *(f"kd-{s}" for s in load(params, "students", Students))]
    found = []
    for name, test in load(params, "tests", dict[str, Test]).items():
        networks = read_json(folders.tests / f"{name}.json")
        by_yaw = read_json(folders.bands / f"{name}.json")
        absent = [key for key in expected if key not in networks]
        if absent:
            raise InputError(f"{folders.tests / name}.json: no {absent}; found {sorted(networks)}")
        found.append(
            TestSet(
                name,
                test.protocol,
                protocols[test.protocol].train,
                test.dataset,
                {key: {**networks[key], "abs_yaw": by_yaw[key]} for key in expected},
                {
                    key: read_json(folders.imported / f"{key}.json")
                    for key, network in foreign.items()
                    if (network.dataset, network.where) == (test.dataset, test.where)
                },
                read_csv(folders.cells / f"{name}.csv"),
                read_json(folders.intervals / f"{name}.json"),
                read_csv(folders.comparisons / f"{name}.csv"),
                read_json(folders.uncertainty / f"{name}.json"),
                read_csv(folders.risk / f"{name}.csv"),
                read_json(folders.leaks / f"{test.protocol}.json")[name],
            )
        )
    return found


def read_jitter(sets: list[TestSet], folder: Path) -> pd.DataFrame:
    """What the stage `jitter` measured on every test set, with its name in the column `test`."""
    parts = [read_csv(folder / f"{test.name}.csv").assign(test=test.name) for test in sets]
    return pd.concat(parts)


def read_published(folder: Path) -> Published:
    return Published(*(read_csv(folder / f"{n}.csv") for n in ("counts", "ensemble", "methods")))


def write_text(text: str, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--tests", type=Path, required=True)
    parser.add_argument("--bands", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--intervals", type=Path, required=True)
    parser.add_argument("--comparisons", type=Path, required=True)
    parser.add_argument("--uncertainty", type=Path, required=True)
    parser.add_argument("--risk", type=Path, required=True)
    parser.add_argument("--jitter", type=Path, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--leaks", type=Path, required=True)
    parser.add_argument("--imported", type=Path, required=True)
    parser.add_argument("--published", type=Path, required=True)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--figures", type=Path, required=True)
    run(main, parser)
