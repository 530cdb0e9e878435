"""Every table of a run: its numbers, how they are shown, and what a reader has to know.

The stage `tables` writes them as CSV and Markdown, the stage `report` as HTML.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from hpe_core import paper_tables
from hpe_core.paper_tables import Cell, Published, Summary, TestSet, TrainingSet
from hpe_core.readable import markdown

PAPER = "Columns that begin with “paper” are the published values, measured on the real corpora."
PIXELS = (
    "K and d are pixels of the network's input, which is 224 x 224 in the paper. All from the base"
    " network of the first seed."
)
RANKS = (
    "pitch, yaw, roll, face: Spearman's correlation of uncertainty and |error|; of oracle: how"
    " much of the gain is reached that refusing the worst faces first has (1: all, 0: as chance)."
    " Below: the share of faces whose error is within ±1 std; where it is calibrated, on validation"
    " faces, it should be 0.68."
)
JITTER = (
    "Shift: share of the box's side by which it moves, mean over four directions; scale: factor of"
    " its sides. Loss: by how much the MAE is larger than for the box as it is, on the same faces;"
    " the least of each test set is bold."
)


@dataclass(frozen=True)
class Results:
    """All that was measured, for the tables and the page.

    corpora: in words; teacher: K, d of the students' teacher; teacher_text: all of it, as
    `paper_tables.windows_text`; backbone: the base network's; train: protocol → training set;
    counts: dataset → what `filter` counted; elsewhere: as for `paper_tables.methods_table`;
    validation: protocol → network → summary, {} without validation faces; jitter: as from
    `paper_tables.jitter_by_level`.
    """

    corpora: str
    teacher: Cell
    teacher_text: str
    backbone: str
    tests: Sequence[TestSet]
    train: Mapping[str, TrainingSet]
    counts: Mapping[str, Summary]
    elsewhere: Mapping[str, tuple[str, Summary]]
    validation: Mapping[str, Mapping[str, Summary]]
    jitter: pd.DataFrame
    published: Published


@dataclass(frozen=True)
class Sheet:
    """One table: the name of its files, its title, all numbers, and how they are shown.

    digits: decimals; once, bold: as for `markdown`; page: what readers see instead of `table`;
    more: a second table below it, and what it is; note: what they have to know.
    """

    name: str
    title: str
    table: pd.DataFrame
    digits: int = 2
    once: Sequence[str] = ()
    bold: Sequence[str] = ()
    page: pd.DataFrame | None = None
    more: pd.DataFrame | None = None
    more_title: str = ""
    note: str = ""

    @property
    def shown(self) -> list[pd.DataFrame]:
        """What readers see, one or two tables."""
        first = self.table if self.page is None else self.page
        return [first] if self.more is None else [first, self.more]


def all_sheets(results: Results) -> list[Sheet]:
    """Every table of metrics/tables."""
    ensembles = [ensemble_sheet(results, protocol) for protocol in results.train]
    return [
        faces_sheet(results),
        *(sheet for sheet in ensembles if sheet),
        methods_sheet(results),
        bands_sheet(results),
        comparisons_sheet(results),
        uncertainty_sheet(results),
        jitter_sheet(results),
    ]


def faces_sheet(results: Results) -> Sheet:
    faces = paper_tables.counts_table(results.train, results.tests, results.published.counts)
    kept = paper_tables.corpora_table(results.counts)
    words = "Faces kept of every corpus, and dropped by reason"
    return Sheet(
        "table1",
        "Table 1: faces of every protocol",
        faces,
        once=["protocol"],
        more=kept,
        more_title=words,
    )


def ensemble_sheet(results: Results, protocol: str) -> Sheet | None:
    """Tables 2 to 4 for the paper's protocols, `ensemble-<protocol>` for any other; None for a
    protocol without a test set.
    """
    own = [test for test in results.tests if test.protocol == protocol]
    if not own:
        return None
    published = results.published.ensemble
    numbers = published.loc[published["protocol"] == protocol, "table"].unique()
    name = f"table{numbers[0]}" if len(numbers) else f"ensemble-{protocol}"
    heading = f"Table {numbers[0]}" if len(numbers) else "Ensemble"
    table = paper_tables.ensemble_table(own, results.teacher, published)
    title = f"{heading}: errors of the offset ensemble, protocol {protocol}"
    return Sheet(name, title, table, 3, once=["test"], bold=["avg", "paper_avg"], note=PIXELS)


def methods_sheet(results: Results) -> Sheet:
    table = paper_tables.methods_table(
        results.tests,
        results.elsewhere,
        results.backbone,
        results.teacher_text,
        results.published.methods,
    )
    bold = ["avg", "paper_avg"]
    return Sheet("table5", "Table 5: methods", table, once=["test"], bold=bold)


def bands_sheet(results: Results) -> Sheet:
    by_yaw = paper_tables.bands_table(results.tests)
    beside = paper_tables.bands_side_by_side(by_yaw)
    return Sheet("bands", "MAE by bands of |yaw|, degrees", by_yaw, once=["test"], page=beside)


def comparisons_sheet(results: Results) -> Sheet:
    table = paper_tables.comparisons_table(results.tests)
    title, page = "Is one network better than another?", paper_tables.comparisons_text(table)
    note = f"{paper_tables.COMPARED}."
    return Sheet("comparisons", title, table, 3, once=["test", "a"], page=page, note=note)


def uncertainty_sheet(results: Results) -> Sheet:
    """One row an uncertainty in the CSV; shown are ranks first, then the coverage of the std."""
    table = paper_tables.uncertainty_table(results.tests)
    covered = [name for name in table if str(name).startswith("covered_")] + ["calibrated"]
    of_std = table.loc[table["uncertainty"] == "std", ["test", "network", *covered]]
    title, once = "Do the networks know where they err?", ["test", "network"]
    ranks = table.drop(columns=covered)
    return Sheet(
        "uncertainty",
        title,
        table,
        once=once,
        page=ranks,
        more=of_std,
        more_title="Share of faces whose error is within ±1 std",
        note=RANKS,
    )


def jitter_sheet(results: Results) -> Sheet:
    lost = paper_tables.jitter_table(results.jitter)
    bold = [str(name) for name in lost if str(name).endswith("_loss")]
    title = "Sensitivity to the box: errors for boxes that are moved or resized"
    return Sheet("jitter", title, lost, once=["test"], bold=bold, note=JITTER)


def headline(results: Results) -> dict[str, dict[str, float]]:
    """What `dvc metrics` and `dvc exp show` show: test set → network → MAE in degrees.

    Validation faces stand beside the test sets, as `<protocol> validation`.
    """
    measured: dict[str, Mapping[str, Summary]]
    measured = {test.name: test.every_network for test in results.tests}
    measured |= {f"{name} validation": own for name, own in results.validation.items() if own}
    return {
        name: {network: float(summary["mae"]) for network, summary in own.items()}
        for name, own in measured.items()
    }


def sheet_markdown(sheet: Sheet, corpora: str) -> str:
    """The page of one sheet."""
    first, *more = sheet.shown
    parts = [f"# {sheet.title}", f"Ours: **{corpora}**. {' '.join([PAPER, sheet.note]).strip()}"]
    parts += [markdown(first, sheet.digits, sheet.once, sheet.bold)]
    return "\n\n".join([*parts, *(markdown(table, sheet.digits) for table in more)]) + "\n"
