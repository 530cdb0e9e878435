"""How the teacher's averaging over windows changes the distributions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hpe_core.common.geometry import ANGLES
from hpe_core.crops.window import Pixels
from hpe_core.evaluation.columns import ENTROPY_PYR
from hpe_core.networks.distributions import (
    Bins,
    bin_of,
    centers_deg,
    entropy_nats,
    expectation,
    std_deg,
)
from hpe_core.page.faces import TILE_PX
from hpe_core.tables.charts import Chart, Palette, curves

UNCHANGED_NATS = 0.01  # a smaller change of an entropy counts as none
_CHANGES = {"sharper": -1, "unchanged": 0, "smoother": 1}
_SHOWN_PROB = 0.002  # less probable bins are cut off at either end


def changes_of_entropy(before: ArrayLike, after: ArrayLike) -> dict[str, float]:
    """Shares of distributions that averaging made sharper, left unchanged, made smoother.

    before, after: entropies in nats of the same distributions, any shape, at least one.
    """
    change = np.asarray(after, "f8") - np.asarray(before, "f8")
    kinds = np.where(np.abs(change) <= UNCHANGED_NATS, 0, np.sign(change))
    return {name: float((kinds == kind).mean()) for name, kind in _CHANGES.items()}


def changes_by_angle(test: str, predictions: pd.DataFrame) -> pd.DataFrame:
    """How averaging changed the distributions of a test set, all seeds: one row per angle.

    predictions: with entropies, of base and ensemble.
    """
    of_network = predictions.sort_values(["seed", "face_id"]).groupby("network")
    one, mean = (of_network.get_group(name)[ENTROPY_PYR] for name in ("base", "ensemble"))
    return entropy_table({"test": test}, one, mean)


def entropy_table(about: Mapping[str, object], before: ArrayLike, after: ArrayLike) -> pd.DataFrame:
    """Per angle the mean entropies, and `changes_of_entropy` in percent.

    about: first columns, the same in every row; before, after (N x 3): entropies in nats of the
    same faces, N ≥ 1.
    """
    one, mean = np.asarray(before, "f8"), np.asarray(after, "f8")
    entropies = {
        **about,
        "angle": ANGLES,
        "entropy, box alone": one.mean(axis=0),
        "entropy, averaged": mean.mean(axis=0),
    }
    shares = [changes_of_entropy(*pair) for pair in zip(one.T, mean.T, strict=True)]
    return pd.DataFrame(entropies).join(100 * pd.DataFrame(shares).add_suffix(", %"))


def telling_rows(before: ArrayLike, after: ArrayLike) -> list[tuple[str, int]]:
    """Faces that show what averaging does: largest fall of entropy, median change, largest rise.

    before, after (N): per face the mean entropy of the angles. Returns (what a face shows, its
    row); no face twice, where there are fewer than three.
    """
    change = np.asarray(after, "f8") - np.asarray(before, "f8")
    order = np.argsort(change, kind="stable")
    rows: dict[int, str] = {}
    rows.setdefault(int(order[0]), "largest fall (or smallest rise) of entropy")
    rows.setdefault(int(order[len(order) // 2]), "median change of entropy")
    rows.setdefault(int(order[-1]), "largest rise of entropy")
    return [(words, row) for row, words in rows.items()]


@dataclass(frozen=True)
class TellingFace:
    """A training face. kind: what it shows; one_deg, mean_deg: the angles from the box alone and
    after averaging; entropies: likewise, nats; charts: one per angle.
    """

    kind: str
    face_id: str
    image: Pixels
    label_deg: Sequence[float]
    one_deg: Sequence[float]
    mean_deg: Sequence[float]
    entropies: tuple[float, float]
    charts: Sequence[Chart]


@dataclass(frozen=True)
class Averaged:
    """Distributions of some training faces, from the box alone and averaged over all windows.

    one, mean (N x 3 x n_bins) probabilities; pyr_deg (N x 3) labels; crops: row → pixels.
    """

    protocol: str
    face_ids: Sequence[str]
    pyr_deg: NDArray[np.float64]
    one: NDArray[np.float32]
    mean: NDArray[np.float32]
    spec: Bins
    crops: Mapping[int, Pixels]

    def shares(self) -> dict[str, float]:
        return changes_of_entropy(entropy_nats(self.one), entropy_nats(self.mean))

    def changes(self) -> pd.DataFrame:
        """As `changes_by_angle`, of training faces, with the mean standard deviations."""
        about = {"protocol": self.protocol, "faces": len(self.face_ids)}
        table = entropy_table(about, entropy_nats(self.one), entropy_nats(self.mean))
        one, mean = (std_deg(probs, self.spec).mean(0) for probs in (self.one, self.mean))
        return table.assign(**{"std°, box alone": one, "std°, averaged": mean})

    def telling_faces(self, palette: Palette) -> Iterator[TellingFace]:
        before, after = (entropy_nats(probs).mean(-1) for probs in (self.one, self.mean))
        for kind, row in telling_rows(before, after):
            image = cv2.resize(self.crops[row], (TILE_PX, TILE_PX), interpolation=cv2.INTER_CUBIC)
            one, mean = (expectation(p[row], self.spec).tolist() for p in (self.one, self.mean))
            yield TellingFace(
                kind=kind,
                face_id=self.face_ids[row],
                image=image.astype(np.uint8),
                label_deg=self.pyr_deg[row].tolist(),
                one_deg=one,
                mean_deg=mean,
                entropies=(float(before[row]), float(after[row])),
                charts=[self.chart(row, angle, palette) for angle in ANGLES],
            )

    def chart(self, row: int, angle: str, palette: Palette) -> Chart:
        """One angle of one face: from the box alone, the mean over windows, and the label."""
        place = ANGLES.index(angle)
        truth = float(self.pyr_deg[row, place])
        pair = {"box alone": self.one[row, place], "mean over windows": self.mean[row, place]}
        told, parts = [f"label {one_decimal(truth)}"], []
        bins = self._shown_bins(list(pair.values()), truth)
        for name, probs in pair.items():
            told.append(
                f"{name}: expects {one_decimal(float(expectation(probs, self.spec)))}, std "
                f"{std_deg(probs, self.spec):.1f}°, entropy {entropy_nats(probs):.2f}"
            )
            shown = pd.DataFrame({"degrees": centers_deg(self.spec), "probability": probs})
            shown = shown.iloc[bins].astype("f8").assign(network=name)
            top = shown["probability"] == shown["probability"].max()
            parts.append(shown.assign(label=top.map({True: told[-1], False: None})))
        colours = [palette.networks[name] for name in ("base", "ensemble")]
        looks = Palette.of(pair, colours, palette.pale, palette.legend)
        titles = {"x_label": f"{angle}, degrees", "y_label": "probability"}
        spec = curves(pd.concat(parts), looks, x="degrees", y="probability", **titles)
        spec["height"] = 110
        spec["layer"][0]["mark"]["interpolate"] = "step"
        label_line = {
            "data": {"values": [{"x": truth, "label": told[0]}]},
            "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.7},
            "encoding": {"y": None, "color": None, "description": {"field": "label"}},
        }
        spec["layer"].append(label_line)
        return Chart(angle, spec, f"{'; '.join(told)}.")

    def _shown_bins(self, pair: Sequence[NDArray[np.float32]], truth: float) -> slice:
        """From the first to the last that is probable or holds the label."""
        probable = np.maximum(*pair) > _SHOWN_PROB
        probable[bin_of(truth, self.spec)] = True
        return slice(int(np.argmax(probable)), len(probable) - int(np.argmax(probable[::-1])))


def one_decimal(degrees: float) -> str:
    return f"{degrees:.1f}°".replace("-", "−")
