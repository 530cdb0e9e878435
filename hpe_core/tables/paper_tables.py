"""The paper's tables from our metrics, with the published values beside ours.

Tables in, tables out. Errors are degrees; `avg` is the mean of pitch, yaw and roll, as the paper
calls it, `avg_std` its standard deviation over several seeds; columns that
begin with `paper_` hold published values and are empty where the paper has no such protocol and
test set. A published row belongs to the test set of the same protocol and dataset.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import nan

import pandas as pd

from hpe_core.common.geometry import ANGLES
from hpe_core.evaluation.columns import PLAIN, SCALE
from hpe_core.evaluation.metrics import FACE_MEASURES, gain
from hpe_core.evaluation.names import BASE, reference_of
from hpe_core.tables.results import Cell, Results, Summary, TestSet, ensemble_size

ERROR_COLUMNS = ["pitch", "yaw", "roll", "avg"]
AVERAGES = {"mae": "avg", "mae_std": "avg_std"}  # the paper's name
PAPER_COLUMNS = [f"paper_{name}" for name in ERROR_COLUMNS]
AS_PUBLISHED = [f"as_published_{name}" for name in ERROR_COLUMNS]  # ours, in the corpus's order
IN_TRAINING = {  # what of a test set stands in the training set too → its column of Table 1
    "photograph": "photographs_in_training",
    "subject": "subjects_in_training",
}
GAIN_COLUMNS = ["gain", "gain_mark", "gain_interval", "base_gain", "base_gain_mark"]
RESULT_COLUMNS = ["test", "network", "faces", "avg", "avg_std", "interval", *GAIN_COLUMNS]
RESULT_COLUMNS += [*FACE_MEASURES, "as_published_avg", "paper_avg", "paper_gain", *ANGLES]
WHOLE_NUMBERS = ["K", "d", "S", "faces", "paper_faces", "difference", *IN_TRAINING.values()]
COVERED = [f"covered_{angle}" for angle in ANGLES]
ONE_WINDOW: Cell = (0, 1)  # K, d of the base network alone
OURS, PAPER = "ours", "paper"  # whose cell of Fig. 7 it is
CELL_COLUMNS = ["test", "source", "K", "d", "S", *ANGLES, "mae", "faces", "teacher"]
UNCERTAINTY_NAMES = {"std": "std", "entropy": "entropy", "spread": "spread over windows"}


def counts_table(results: Results) -> pd.DataFrame:
    """Table 1: the faces each protocol trains, validates (where it does) and tests on.

    difference: faces more than the paper has; empty where they are as many, or it has no such row.
    photographs_in_training, subjects_in_training: how many of the test set's are in the training
    set too, validation faces included; empty: not known.
    """
    rows: list[dict[str, object]] = []
    for protocol, chosen in results.train.items():
        for role, faces in (("train", chosen.training), ("validation", chosen.validation)):
            row = {"protocol": protocol, "role": role, "dataset": chosen.title, "faces": faces}
            rows += [row] if faces else []
        for test in results.tests_of(protocol):
            row = {"protocol": protocol, "role": "test", "dataset": test.dataset}
            shared = {
                column: (test.shared[kind] or {}).get("shared")
                for kind, column in IN_TRAINING.items()
            }
            rows.append({**row, "faces": test.networks["base"]["faces"], **shared})
    paper = results.published.counts.rename(columns={"faces": "paper_faces", "note": "paper_note"})
    table = pd.DataFrame(rows).merge(paper, how="left", on=["protocol", "role", "dataset"])
    more = table["faces"] - table["paper_faces"]
    at = list(table.columns).index("paper_faces") + 1
    table.insert(at, "difference", more.where(more != 0))
    return whole(table)


def corpora_table(counts: Mapping[str, Summary]) -> pd.DataFrame:
    """How many faces `filter` kept and dropped per corpus, by reason.

    beyond_limit: of those kept, faces that are within the limit as published, but not in our order.
    """
    rows = [
        {"dataset": name, "before": c["before"], "faces": c["faces"], **c["dropped"]}
        | {"beyond_limit": c["beyond_limit"]}
        for name, c in counts.items()
    ]
    return pd.DataFrame(rows)


def ensemble_table(test: TestSet, teacher: Cell, published: pd.DataFrame) -> pd.DataFrame:
    """Tables 2 to 4: the offset ensemble for the paper's K and d, the teacher's and the best ones.

    The best cell is chosen on the test set itself: it shows what could be gained, and is used for
    nothing.
    """
    names = dict(zip([f"published_{name}" for name in [*ANGLES, "mae"]], AS_PUBLISHED, strict=True))
    cells = test.cells.rename(columns={"mae": "avg", **names}).set_index(["K", "d"])
    ours = cells.reindex(columns=[*ERROR_COLUMNS, "faces", *AS_PUBLISHED])
    paper = published_of(published, test).set_index(["K", "d"])[ERROR_COLUMNS].add_prefix("paper_")
    best = best_cell(test.cells)
    wanted = {teacher, best, *published[["K", "d"]].itertuples(index=False, name=None)}
    shown = sorted(cell for cell in wanted if cell in ours.index or cell in paper.index)
    table = pd.DataFrame(index=pd.MultiIndex.from_tuples(shown, names=["K", "d"]))
    table = table.join(ours).join(paper).reset_index()
    table.insert(0, "test", test.name)
    table.insert(3, "S", [ensemble_size(cell) for cell in shown])
    notes = ((ONE_WINDOW, "base"), (teacher, "teacher's K, d"), (best, "best here"))
    table["note"] = [", ".join(note for noted, note in notes if noted == cell) for cell in shown]
    return whole(table)


def cells_table(tests: Iterable[TestSet], teacher: Cell, published: pd.DataFrame) -> pd.DataFrame:
    """Fig. 7: all cells of our sweeps, and the published ones of the same protocol and dataset.

    Columns CELL_COLUMNS. source: OURS or PAPER; faces: empty for the paper's; teacher: "yes" for
    our cell with the K and d of the students' teacher, else "".
    """
    parts = []
    for test in tests:
        paper = published_of(published, test).rename(columns={"avg": "mae"})
        parts.append(test.cells.assign(test=test.name, source=OURS))
        parts += [paper.assign(test=test.name, source=PAPER)] if len(paper) else []
    table = pd.concat(parts, ignore_index=True)
    is_teacher = (table["source"] == OURS) & (table["K"] == teacher[0]) & (table["d"] == teacher[1])
    table["S"] = [ensemble_size(cell) for cell in zip(table["K"], table["d"], strict=True)]
    table["teacher"] = is_teacher.map({True: "yes", False: ""})
    return whole(table[CELL_COLUMNS])


def best_cell(cells: pd.DataFrame) -> Cell:
    """K, d of the smallest error; of equal ones the smallest ensemble, then smallest K and d."""
    best = cells.sort_values(["mae", "S", "K", "d"], kind="stable").iloc[0]
    return int(best["K"]), int(best["d"])


def methods_table(results: Results) -> pd.DataFrame:
    """Table 5: earlier methods, base, ensembles, controls and students, later methods, imported
    networks.

    published_in: "paper", or "later" for methods that are newer than the paper; empty for ours.
    """
    parts = [_method_rows(test, results) for test in results.tests]
    for name, (dataset, summary) in results.elsewhere.items():
        method = f"imported {name}"
        parts.append(errors_of_networks({method: summary}).assign(test=dataset, method=method))
    return whole(pd.concat(parts, ignore_index=True))


def errors_of_networks(networks: Mapping[str, Summary]) -> pd.DataFrame:
    """One row per network: faces and errors; avg_std only where there are several seeds.

    AS_PUBLISHED is empty where the corpus publishes its angles in our order.
    """
    table = pd.DataFrame.from_dict(dict(networks), orient="index").rename(columns=AVERAGES)
    published = [own.get("published", {}) for own in networks.values()]
    errors = pd.DataFrame(published, index=table.index).rename(columns=AVERAGES)
    table = table.join(errors.add_prefix("as_published_"))
    names = [*ERROR_COLUMNS, "avg_std", *FACE_MEASURES, "faces", *AS_PUBLISHED]
    return table.reindex(columns=names)


def _method_rows(test: TestSet, results: Results) -> pd.DataFrame:
    ours = {name.lower(): row for name, row in test.every_network.items()}
    named = dict(zip(ERROR_COLUMNS, PAPER_COLUMNS, strict=True))
    paper = published_of(results.published.methods, test).assign(published_in="paper")
    later = published_of(results.published.later, test).assign(published_in="later")
    printed = pd.concat([paper, later]).rename(columns=named)
    printed = printed.set_index(printed["method"].map(_key))
    keys = list(dict.fromkeys([*paper["method"].map(_key), *ours, *later["method"].map(_key)]))
    labels = {key: _label(key) for key in ours}
    labels |= {str(key): method for key, method in printed["method"].items()}
    labels["base"] = _base_label(results.backbone, labels["base"])
    labels["ensemble"] = f"Ensemble {results.teacher_text}"
    table = errors_of_networks(ours).reindex(keys)
    columns = ["published_in", "extra_data", *PAPER_COLUMNS]
    table = table.join(printed[columns]).reset_index(drop=True)
    table["extra_data"] = table["extra_data"].map({1: "yes"}).fillna("")
    table.insert(0, "test", test.name)
    table.insert(1, "method", [labels[key] for key in keys])
    return table


def _label(network: str) -> str:
    named = network.replace("kd-", "KD-").replace("resnet", "ResNet")
    return named.replace("control-", "Control ").replace("ensemble-", "Ensemble, alone: ")


def _base_label(backbone: str, published: str) -> str:
    """With the paper's backbone in brackets, where it is another one."""
    ours = f"Base {backbone}".replace("resnet", "ResNet")
    same = published in ("base", ours)
    return ours if same else f"{ours} (paper: {published.removeprefix('Base ')})"


def _key(method: str) -> str:
    """Our name for a published method: the base network's backbone may differ from the paper's."""
    return "base" if method.startswith("Base ") else method.lower()


def bands_table(tests: Iterable[TestSet]) -> pd.DataFrame:
    """Errors by bands of |yaw|: one row per test set, network and band."""
    rows = [
        {"test": t.name, "network": name, "abs_yaw": band, **values}
        for t in tests
        for name, summary in t.every_network.items()
        for band, values in sorted(summary["abs_yaw"].items(), key=lambda item: _lower(item[0]))
    ]
    table = pd.DataFrame(rows).rename(columns={"mae": "avg"})
    return whole(table[["test", "network", "abs_yaw", "faces", *ERROR_COLUMNS]])


def bands_side_by_side(bands: pd.DataFrame) -> pd.DataFrame:
    """`bands_table`, one column per band: the MAE, and in each test set's first row the faces."""
    faces = bands.drop_duplicates(["test", "abs_yaw"])
    faces = faces.assign(network="faces", text=faces["faces"].astype("str"))
    errors = bands.assign(text=bands["avg"].map("{:.2f}".format, na_action="ignore"))
    # by row: the faces stand before the first network of their test set
    rows = pd.concat([faces, errors]).sort_index(kind="stable")
    keys = ["test", "network"]
    table = rows.pivot_table("text", keys, "abs_yaw", aggfunc="first", sort=False).reset_index()
    return table[[*keys, *sorted(bands["abs_yaw"].unique(), key=_lower)]]


def _lower(band: str) -> float:
    return float(band.split("-")[0])


def jitter_table(levels: pd.DataFrame) -> pd.DataFrame:
    """Errors for unchanged boxes and for the largest changes, one row per test set and network.

    levels: as from `jitter_by_level`, the same ones for all test sets. Columns test, network,
    faces, avg, then per largest change its MAE, such as `shift_0.125`, and how much larger that is,
    `shift_0.125_loss`, degrees.
    """
    errors = levels.pivot_table(
        index=["test", "network", "faces"], columns=["kind", "level"], values="mae", sort=False
    )
    table = pd.DataFrame({"avg": errors[SCALE, PLAIN[SCALE]]})
    for kind in levels["kind"].unique():
        measured = errors[kind].columns
        for level in sorted({measured.min(), measured.max()} - {PLAIN[kind]}):
            table[f"{kind}_{level:g}"] = errors[kind, level]
            table[f"{kind}_{level:g}_loss"] = errors[kind, level] - table["avg"]
    return whole(table.reset_index())


def results_table(tests: Iterable[TestSet], published: pd.DataFrame) -> pd.DataFrame:
    """Base, ensembles, controls and students side by side.

    interval: of the MAE, over the choice of faces; gain: percent of the error of `reference_of` the
    network that is saved, with its interval; base_gain: of the base network's; *_mark: "*" where
    the difference is significant.
    """
    parts = []
    for test in tests:
        paper = published_of(published, test)
        printed = paper.set_index(paper["method"].map(_key))["avg"].astype("f8")
        table = errors_of_networks(test.every_network)
        names = table.index
        paper_avg = printed.reindex(names.str.lower()).tolist()
        over_reference = [gain_over(test, reference_of(name), name) for name in names]
        over_base = [gain_over(test, BASE, name) for name in names]
        table = table.assign(
            test=test.name,
            network=names,
            interval=names.map(test.interval_text),
            gain=[each.percent for each in over_reference],
            gain_mark=[each.mark for each in over_reference],
            gain_interval=[each.interval for each in over_reference],
            base_gain=[each.percent for each in over_base],
            base_gain_mark=[each.mark for each in over_base],
            paper_avg=paper_avg,
            paper_gain=[gain(error, printed.get(BASE, nan)) for error in paper_avg],
        )
        parts.append(table[RESULT_COLUMNS])
    results = whole(pd.concat(parts, ignore_index=True))
    results.loc[results["network"] == BASE, "paper_gain"] = nan
    return results


@dataclass(frozen=True)
class Gain:
    """percent: of the reference's MAE that is saved; interval: its 95 %; mark: "*" if significant.

    Of networks that were not compared, because one was published elsewhere, percent alone.
    """

    percent: float = nan
    interval: str = ""
    mark: str = ""


def gain_over(test: TestSet, reference: str, network: str) -> Gain:
    if network == reference or reference not in test.networks:
        return Gain()
    pairs = test.comparisons
    found = pairs[(pairs["a"] == reference) & (pairs["b"] == network)]
    before = test.networks[reference]["mae"]
    if found.empty:
        return Gain(gain(test.every_network[network]["mae"], before))
    pair = found.iloc[0]
    low, high = (100 * pair[limit] / before for limit in ("low", "high"))
    mark = "*" if pair["significant"] else ""
    return Gain(float(pair["gain"]), f"{low:.1f}; {high:.1f}", mark)


def comparisons_table(tests: Iterable[TestSet]) -> pd.DataFrame:
    """Every two networks of each test set: `comparison.compare`, and the test set's name."""
    table = pd.concat([t.comparisons.assign(test=t.name) for t in tests], ignore_index=True)
    return table[["test", *table.columns.drop("test")]]


def comparisons_text(comparisons: pd.DataFrame) -> pd.DataFrame:
    """`comparison.compare` or `comparisons_table` as a page shows it."""
    p = comparisons["p"].map(lambda p: "< 0.001" if p < 0.001 else f"{p:.3f}")
    significant = comparisons["significant"].map({True: "yes", False: "no"})
    shown = comparisons.assign(p=p, significant=significant)
    return shown.rename(columns={"run_std": "difference_std"})


def uncertainty_table(tests: Iterable[TestSet]) -> pd.DataFrame:
    """How well every network's uncertainties predict its error: one row each.

    pitch, yaw, roll, face: rank correlation with the error; of_oracle: share of the gain in the
    risk-coverage curve that the order by the true error would have; of the std also covered_pitch
    …: share of faces within ±1 std, and whether it is calibrated.
    """
    rows = [
        {
            "test": t.name,
            "network": network,
            "uncertainty": name,
            **of_network[kind]["rank_correlation"],
            "of_oracle": of_network[kind]["aurc_gain"],
            **{f"covered_{a}": v for a, v in of_network[kind].get("coverage", {}).items()},
            "calibrated": {True: "yes", False: "no"}.get(of_network[kind].get("calibrated"), ""),
        }
        for t in tests
        for network, of_network in ((name, t.uncertainty[name]) for name in t.networks)
        for kind, name in UNCERTAINTY_NAMES.items()
        if kind in of_network
    ]
    names = ["test", "network", "uncertainty", *ANGLES, "face", "of_oracle"]
    return pd.DataFrame(rows)[[*names, *COVERED, "calibrated"]]


def coverage_table(uncertainty: pd.DataFrame) -> pd.DataFrame:
    """Of `uncertainty_table`: per network the share of faces within ±1 std, and if calibrated."""
    of_std = uncertainty[uncertainty["uncertainty"] == "std"]
    return of_std[["test", "network", *COVERED, "calibrated"]]


def sweep_table(tests: Iterable[TestSet], teacher: Cell, published: pd.DataFrame) -> pd.DataFrame:
    """The sweep in one row per test set: one window, the teacher's K and d, the best ones.

    Shifts only: what the teacher is without rotations and flips.
    """
    rows = []
    for test in tests:
        errors = test.cells.set_index(["K", "d"])["mae"]
        paper = published_of(published, test).rename(columns={"avg": "mae"})
        best = best_cell(test.cells)
        row = {
            "test": test.name,
            "faces": test.cells["faces"].iloc[0],
            "base": errors[ONE_WINDOW],
            "teacher_K_d": errors.get(teacher, nan),
            "best": errors[best],
            "gain": gain(errors[best], errors[ONE_WINDOW]),
            "best_K_d_S": cell_text(best),
            "paper_best": paper["mae"].min(),
            "paper_K_d_S": cell_text(best_cell(paper)) if len(paper) else None,
        }
        rows.append(row)
    return whole(pd.DataFrame(rows))


def cell_text(cell: Cell) -> str:
    return f"{cell[0]}, {cell[1]}, {ensemble_size(cell)}"


def published_of(published: pd.DataFrame, test: TestSet) -> pd.DataFrame:
    """The published rows of the same protocol and dataset; none for a user's own protocol."""
    same = (published["protocol"] == test.protocol) & (published["dataset"] == test.dataset)
    return published[same]


def whole(table: pd.DataFrame, counts: Iterable[str] = WHOLE_NUMBERS) -> pd.DataFrame:
    """Counts as integers that may be absent (pandas would turn them into floats)."""
    return table.astype({name: "Int64" for name in counts if name in table})
