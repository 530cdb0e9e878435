"""Which faces belong together, and which are for testing or validation.

The test faces of AFLW are those that AFLW2000 also shows (protocol 2).
"""

from collections.abc import Collection
from hashlib import blake2b
from pathlib import PurePosixPath

import pandas as pd

from hpe_core.common.geometry import ANGLES, geodesic_deg

TRAIN, TEST, EXCLUDED = "train", "test", "excluded"


def assign_test_split(
    faces: pd.DataFrame,
    reference_faces: pd.DataFrame,
    *,
    strict_siblings: bool,
    unlabelled: Collection[str] = (),
) -> pd.Series:
    """The column `split` of `faces` (face table): "train", "test" or "excluded".

    Exactly one face is a test face in every image that is also in the reference corpus (same stem):
    the one whose pose is nearest to the reference's label by the geodesic angle (the first of
    equally near ones). The others are for training, as in the published labels, although the
    photograph is then in both sets; with `strict_siblings` they are excluded.

    unlabelled: files of the reference whose label could not be read. All faces of such an image are
    excluded, because its test face is unknown. Same index as `faces`.
    """
    by_stem = reference_faces.assign(stem=_stems(reference_faces)).drop_duplicates("stem")
    stems = _stems(faces)
    shared = stems.isin(by_stem["stem"])
    split = pd.Series(TRAIN, index=faces.index, name="split", dtype="str")
    split[shared] = EXCLUDED if strict_siblings else TRAIN
    reference = by_stem.set_index("stem").loc[stems[shared], list(ANGLES)]
    distance = pd.Series(
        geodesic_deg(faces.loc[shared, list(ANGLES)].to_numpy(), reference.to_numpy()),
        index=faces.index[shared],
    )
    split[distance.groupby(stems[shared]).idxmin()] = TEST
    split[stems.isin({PurePosixPath(file).stem for file in unlabelled}) & ~shared] = EXCLUDED
    return split


def _stems(faces: pd.DataFrame) -> pd.Series:
    return faces["image"].map(lambda image: PurePosixPath(image).stem)


def groups_of(faces: pd.DataFrame) -> pd.Series:
    """The group (str) of each face of a face table: its subject, else its video, else its image.

    Faces of one group are not independent: they are held out together, and resampled together for
    intervals and p-values. BIWI's subjects are people; a subject of 300W-LP is a photograph with
    all views made from it. A group's name cannot be of two kinds. Same index as `faces`.
    """
    groups = faces["image"].where(faces["video"] == "", "video " + faces["video"])
    return groups.where(faces["subject"] == "", faces["subject"]).rename("group")


def hold_out(faces: pd.DataFrame, share: float) -> pd.Series:
    """Which faces of a training set are validation faces: bool, same index as `faces`.

    Whole groups (`groups_of`), in the order of a hash of their names, until they have at least
    `share` (in [0; 1)) of the faces. Only the names decide, so a corpus that grows keeps most of
    its validation faces. None for a share of 0.
    """
    groups = groups_of(faces)
    sizes = groups.value_counts()
    ranked = sizes.loc[sorted(sizes.index, key=lambda name: blake2b(name.encode()).digest())]
    before = ranked.cumsum() - ranked
    return groups.isin(ranked.index[before < share * len(faces)])
