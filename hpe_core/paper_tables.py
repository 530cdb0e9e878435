"""The paper's tables from our metrics, with the published values beside ours.

Tables in, tables out. Errors are degrees; `avg` is the mean of pitch, yaw and roll, as the paper
calls it, `avg_std` its standard deviation over the seeds, where there are several; columns that
begin with `paper_` hold published values and are empty where the paper has no such protocol and
test set. A published row belongs to the test set of the same protocol and dataset.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hpe_core.bootstrap import LEVEL
from hpe_core.geometry import ANGLES
from hpe_core.jitter import PLAIN, SCALE
from hpe_core.metrics import gain

Summary = Mapping[str, Any]  # of one network on one test set, see hpe_core.metrics.summary
Cell = tuple[int, int]  # K, d

ERRORS = ["pitch", "yaw", "roll", "avg"]
AVERAGES = {"mae": "avg", "mae_std": "avg_std"}  # the paper's name
PAPER_ERRORS = [f"paper_{name}" for name in ERRORS]
IN_TRAINING = {  # what of a test set stands in the training set too → its column of Table 1
    "photograph": "photographs_in_training",
    "subject": "subjects_in_training",
}
WHOLE_NUMBERS = ["K", "d", "S", "faces", "paper_faces", *IN_TRAINING.values()]
INTERVAL = f"{100 * LEVEL:.0f} %"
UNCERTAINTY_NAMES = {"std": "std", "entropy": "entropy", "spread": "spread over windows"}
COMPARED = (
    "difference: MAE of a minus MAE of b in degrees, positive where b is better (± its standard "
    f"deviation over the seeds); low, high: its {INTERVAL} interval over the choice of faces; p: "
    "two-sided, of this pair alone; gain: share of a's MAE that b saves; groups: people, videos or "
    "photographs, which are drawn as a whole"
)


@dataclass(frozen=True)
class TrainingSet:
    """What a protocol trains on: faces of a corpus.

    training, validation: how many of them a network is trained on, and how many are held out.
    """

    dataset: str
    training: int
    validation: int


@dataclass(frozen=True)
class TestSet:
    """One test set and what was measured on it.

    networks: name (base, ensemble, kd-…) → summary, in the order of the tables; imported: networks
    published elsewhere, likewise; cells: the sweep, columns K, d, S, pitch, yaw, roll, mae, faces;
    intervals, uncertainty, risk: as `hpe_core.evaluation` reports them; comparisons: as
    `comparison.compare` returns them; shared: kind of `leaks.find_shared` → `leaks.count_shared`.
    """

    name: str
    protocol: str
    train: str
    dataset: str
    networks: Mapping[str, Summary]
    imported: Mapping[str, Summary]
    cells: pd.DataFrame
    intervals: Mapping[str, Mapping[str, Sequence[float]]]
    comparisons: pd.DataFrame
    uncertainty: Mapping[str, Mapping[str, Any]]
    risk: pd.DataFrame
    shared: Mapping[str, Mapping[str, int] | None]

    @property
    def every_network(self) -> dict[str, Summary]:
        return {**self.networks, **{f"imported {key}": s for key, s in self.imported.items()}}

    @property
    def title(self) -> str:
        return f"{self.protocol}: {self.train} → {self.dataset}"


@dataclass(frozen=True)
class Published:
    """The paper's tables: 1 (counts), 2 to 4 (ensemble), 5 (methods)."""

    counts: pd.DataFrame
    ensemble: pd.DataFrame
    methods: pd.DataFrame


def counts_table(
    train: Mapping[str, TrainingSet],
    tests: Iterable[TestSet],
    published: pd.DataFrame,
) -> pd.DataFrame:
    """Table 1: the faces each protocol trains, validates (where it does) and tests on.

    train: protocol → its training set. photographs_in_training, subjects_in_training: how many of
    the test set's the training set shows too, validation faces included; empty: not known.
    """
    rows = [
        {"protocol": protocol, "role": role, "dataset": chosen.dataset, "faces": faces}
        for protocol, chosen in train.items()
        for role, faces in (("train", chosen.training), ("validation", chosen.validation))
        if faces
    ]
    rows += [
        {
            "protocol": t.protocol,
            "role": "test",
            "dataset": t.dataset,
            "faces": faces_of(t),
            **{column: _shared(t, kind) for kind, column in IN_TRAINING.items()},
        }
        for t in tests
    ]
    order = {protocol: position for position, protocol in enumerate(train)}
    rows.sort(key=lambda row: order[str(row["protocol"])])  # stable: train first, tests as listed
    paper = published.rename(columns={"faces": "paper_faces", "note": "paper_note"})
    return whole(pd.DataFrame(rows).merge(paper, how="left", on=["protocol", "role", "dataset"]))


def _shared(test: TestSet, kind: str) -> int | None:
    count = test.shared[kind]
    return count["shared"] if count else None


def faces_of(test: TestSet) -> int:
    return int(next(iter(test.networks.values()))["faces"])


def corpora_table(counts: Mapping[str, Summary]) -> pd.DataFrame:
    """What `filter` kept and dropped of each corpus, and why."""
    rows = [
        {"dataset": name, "before": c["before"], "faces": c["faces"], **c["dropped"]}
        for name, c in counts.items()
    ]
    return pd.DataFrame(rows)


def ensemble_table(
    tests: Iterable[TestSet], teacher: Cell, published: pd.DataFrame
) -> pd.DataFrame:
    """Tables 2 to 4: the offset ensemble for the paper's K and d, the teacher's and the best ones.

    The best cell is looked up on the test set itself: it shows what there is to gain, and is not
    used for anything.
    """
    return pd.concat([_ensemble_rows(t, teacher, published) for t in tests], ignore_index=True)


def _ensemble_rows(test: TestSet, teacher: Cell, published: pd.DataFrame) -> pd.DataFrame:
    ours = test.cells.rename(columns={"mae": "avg"}).set_index(["K", "d"])[[*ERRORS, "faces"]]
    paper = of_test(published, test).set_index(["K", "d"])[ERRORS].add_prefix("paper_")
    best = best_cell(test.cells)
    wanted = {teacher, best, *published[["K", "d"]].itertuples(index=False, name=None)}
    shown = sorted(cell for cell in wanted if cell in ours.index or cell in paper.index)
    table = pd.DataFrame(index=pd.MultiIndex.from_tuples(shown, names=["K", "d"]))
    table = table.join(ours).join(paper).reset_index()
    table.insert(0, "test", test.name)
    table.insert(3, "S", [ensemble_size(cell) for cell in shown])
    notes = (((0, 1), "base"), (teacher, "teacher's K, d"), (best, "best here"))
    table["note"] = [", ".join(note for noted, note in notes if noted == cell) for cell in shown]
    return whole(table)


def best_cell(cells: pd.DataFrame) -> Cell:
    """K, d of the smallest error; of equal ones the smallest ensemble, then smallest K and d."""
    best = cells.sort_values(["mae", "S", "K", "d"], kind="stable").iloc[0]
    return int(best["K"]), int(best["d"])


def windows_text(K: int, d: int, turns_deg: Sequence[float], flip: bool) -> str:
    """An ensemble in words: “K=1, d=1, turned by -10, 0, 10°, mirrored”."""
    words = [f"K={K}, d={d}"]
    if any(turns_deg):
        words.append(f"turned by {', '.join(f'{turn:g}' for turn in turns_deg)}°")
    return ", ".join([*words, "mirrored"] if flip else words)


def ensemble_size(cell: Cell) -> int:
    """S of formula (5)."""
    radius, step = cell
    return int((2 * (radius // step) + 1) ** 2)


def methods_table(
    tests: Iterable[TestSet],
    elsewhere: Mapping[str, tuple[str, Summary]],
    base_backbone: str,
    teacher: str,
    published: pd.DataFrame,
) -> pd.DataFrame:
    """Table 5: earlier methods, base, ensemble and students, imported networks.

    teacher: as `windows_text` names it; elsewhere: imported networks evaluated on faces that are no
    test set here: name → corpus, summary.
    """
    parts = [_method_rows(t, base_backbone, teacher, published) for t in tests]
    rows = [{"test": d, "method": f"imported {k}", **s} for k, (d, s) in elsewhere.items()]
    if rows:
        extra = pd.DataFrame(rows).rename(columns=AVERAGES)
        parts.append(extra.reindex(columns=parts[0].columns))
    return whole(pd.concat(parts, ignore_index=True))


def _method_rows(
    test: TestSet, base_backbone: str, teacher: str, published: pd.DataFrame
) -> pd.DataFrame:
    ours = {name.lower(): row for name, row in test.every_network.items()}
    paper = of_test(published, test).rename(columns=dict(zip(ERRORS, PAPER_ERRORS, strict=True)))
    paper = paper.set_index(paper["method"].map(_key))
    keys = list(dict.fromkeys([*paper.index, *ours]))
    labels = {key: key.replace("kd-", "KD-").replace("resnet", "ResNet") for key in ours}
    labels |= {str(key): method for key, method in paper["method"].items()}
    labels["base"] = _base_label(base_backbone, labels["base"])
    labels["ensemble"] = f"Ensemble {teacher}"
    measured = pd.DataFrame.from_dict(ours, orient="index").rename(columns=AVERAGES)
    table = measured.reindex(index=keys, columns=[*ERRORS, "avg_std", "geodesic", "faces"])
    table = table.join(paper[["extra_data", *PAPER_ERRORS]]).reset_index(drop=True)
    table["extra_data"] = table["extra_data"].map({1: "yes"}).fillna("")
    table.insert(0, "test", test.name)
    table.insert(1, "method", [labels[key] for key in keys])
    return table


def _base_label(backbone: str, published: str) -> str:
    """Names the paper's backbone too where it is another one."""
    ours = f"Base {backbone}".replace("resnet", "ResNet")
    same = published in ("base", ours)
    return ours if same else f"{ours} (paper: {published.removeprefix('Base ')})"


def _key(method: str) -> str:
    """Our name for a published method: the base network's backbone may differ from the paper's."""
    return "base" if method.startswith("Base ") else method.lower()


def bands_table(tests: Iterable[TestSet]) -> pd.DataFrame:
    """Errors by bands of |yaw|: one row a test set, network and band."""
    rows = [
        {"test": t.name, "network": name, "abs_yaw": band, **values}
        for t in tests
        for name, summary in t.every_network.items()
        for band, values in sorted(summary["abs_yaw"].items(), key=lambda item: _lower(item[0]))
    ]
    table = pd.DataFrame(rows).rename(columns={"mae": "avg"})
    return whole(table[["test", "network", "abs_yaw", "faces", *ERRORS]])


def bands_side_by_side(bands: pd.DataFrame) -> pd.DataFrame:
    """`bands_table` with one column a band: the MAE, and in each test set's first row the faces."""
    names = sorted(bands["abs_yaw"].unique(), key=_lower)
    parts = []
    for test, rows in bands.groupby("test", sort=False):
        errors = rows.pivot(index="network", columns="abs_yaw", values="avg")
        errors = errors.reindex(index=rows["network"].unique(), columns=names)
        faces = rows.drop_duplicates("abs_yaw").set_index("abs_yaw")["faces"].reindex(names)
        text = errors.map("{:.2f}".format, na_action="ignore")
        text = pd.concat([pd.DataFrame([faces.astype("str")], index=["faces"]), text])
        parts.append(text.rename_axis(index="network").reset_index().assign(test=test))
    return pd.concat(parts)[["test", "network", *names]]


def _lower(band: str) -> float:
    return float(band.split("-")[0])


def jitter_by_level(jitter: pd.DataFrame) -> pd.DataFrame:
    """Columns test, network, kind, level, mae, faces: the mean over the directions of each level.

    jitter: what the stage `jitter` measured, with the test set's name in the column test.
    """
    keys = ["test", "network", "kind", "level"]
    means = jitter.groupby(keys, sort=False).agg({"mae": "mean", "faces": "first"})
    return means.reset_index()


def jitter_table(levels: pd.DataFrame) -> pd.DataFrame:
    """Errors for the box as it is and for the farthest levels, one row a test set and network.

    levels: as from `jitter_by_level`, the same ones for all test sets. Columns test, network,
    faces, avg, then for each farthest level its MAE, such as `shift_0.125`, and how much larger
    that is, `shift_0.125_loss`, degrees.
    """
    keys = ["test", "network", "faces"]

    def errors(kind: str, level: float, name: str) -> pd.DataFrame:
        own = levels[(levels["kind"] == kind) & (levels["level"] == level)]
        return own.rename(columns={"mae": name})[[*keys, name]]

    table = errors(SCALE, PLAIN[SCALE], "avg")
    for kind in levels["kind"].unique():
        own = levels.loc[levels["kind"] == kind, "level"]
        for level in sorted({own.min(), own.max()} - {PLAIN[kind]}):
            name = f"{kind}_{level:g}"
            table = table.merge(errors(kind, level, name), on=keys)
            table[f"{name}_loss"] = table[name] - table["avg"]
    return whole(table)


def results_table(tests: Iterable[TestSet], published: pd.DataFrame) -> pd.DataFrame:
    """Base, ensemble and students side by side.

    interval: of the MAE, over the choice of faces; gain: percent of the base network's error that
    is saved; none for the base network itself; gain_mark: "*" where the difference is significant.
    """
    rows = []
    for test in tests:
        paper = of_test(published, test)
        printed = dict(zip(paper["method"].map(_key), paper["avg"], strict=True))
        real = set(test.comparisons.query("a == 'base' and significant")["b"])
        for name, row in test.every_network.items():
            avg, paper_avg = float(row["mae"]), printed.get(name.lower())
            rows.append(
                {
                    "test": test.name,
                    "network": name,
                    "faces": row["faces"],
                    "avg": avg,
                    "avg_std": row.get("mae_std"),
                    "interval": _interval_text(test, name),
                    "gain": gain(avg, test.networks["base"]["mae"]) if name != "base" else None,
                    "gain_mark": "*" if name in real else "",
                    "geodesic": row["geodesic"],
                    "paper_avg": paper_avg,
                    "paper_gain": gain(paper_avg, printed["base"])
                    if paper_avg is not None and name != "base"
                    else None,
                }
            )
    numbers = ["avg_std", "gain", "paper_avg", "paper_gain"]
    return whole(pd.DataFrame(rows)).astype(dict.fromkeys(numbers, "f8"))


def _interval_text(test: TestSet, network: str) -> str:
    """Of the MAE; none for networks published elsewhere."""
    if network not in test.intervals:
        return ""
    low, high = test.intervals[network]["mae"]
    return f"{low:.2f}–{high:.2f}"


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
    names = ["test", "network", "uncertainty", "pitch", "yaw", "roll", "face", "of_oracle"]
    return pd.DataFrame(rows)[[*names, *(f"covered_{angle}" for angle in ANGLES), "calibrated"]]


def sweep_table(tests: Iterable[TestSet], teacher: Cell, published: pd.DataFrame) -> pd.DataFrame:
    """The sweep in one row a test set: one window, the teacher's K and d, the best ones.

    Shifts only: what the teacher is without its turns and mirror images.
    """
    rows = []
    for test in tests:
        errors = test.cells.set_index(["K", "d"])["mae"]
        best, paper = best_cell(test.cells), of_test(published, test)
        paper_best = best_cell(paper.rename(columns={"avg": "mae"})) if len(paper) else None
        rows.append(
            {
                "test": test.name,
                "faces": test.cells["faces"].iloc[0],
                "base": errors[(0, 1)],
                "teacher_K_d": errors.get(teacher),
                "best": errors[best],
                "gain": gain(errors[best], errors[(0, 1)]),
                "best_K_d_S": cell_text(best),
                "paper_best": paper["avg"].min() if len(paper) else None,
                "paper_K_d_S": cell_text(paper_best) if paper_best else None,
            }
        )
    return whole(pd.DataFrame(rows)).astype({"teacher_K_d": "f8", "paper_best": "f8"})


def cell_text(cell: Cell) -> str:
    return f"{cell[0]}, {cell[1]}, {ensemble_size(cell)}"


def of_test(published: pd.DataFrame, test: TestSet) -> pd.DataFrame:
    """The published rows of the same protocol and dataset; none for a user's own protocol."""
    same = (published["protocol"] == test.protocol) & (published["dataset"] == test.dataset)
    return published[same]


def whole(table: pd.DataFrame) -> pd.DataFrame:
    """Counts as integers that may be absent (pandas would turn them into floats)."""
    return table.astype({name: "Int64" for name in WHOLE_NUMBERS if name in table})
