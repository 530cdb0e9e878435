"""Which faces belong together, which are for testing and which for validation.

Test faces of AFLW are the ones that AFLW2000 shows, too (protocol 2).
"""

from collections.abc import Collection
from hashlib import blake2b
from pathlib import PurePosixPath

import pandas as pd

from hpe_core.geometry import ANGLES, geodesic_deg

TRAIN, TEST, EXCLUDED = "train", "test", "excluded"


def assign_test_split(
    faces: pd.DataFrame,
    reference_faces: pd.DataFrame,
    *,
    strict_siblings: bool,
    unlabelled: Collection[str] = (),
) -> pd.Series:
    """The column `split` of `faces` (face table): "train", "test" or "excluded".

    A face is a test face if its image is also in the reference corpus (same stem). Of several
    faces in such an image exactly one is: the one whose pose is nearest to the reference's own
    label of that stem, by the geodesic angle (the first one where two are equally near). The
    others train, as in the published labels, although the same photograph is then on both sides;
    with `strict_siblings` they are excluded.

    unlabelled: files of the reference whose label could not be read. Which face of such an image is
    the test face is not known: all are excluded. Same index as `faces`.
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
    """What a face has in common with others: its subject, else its video, else its image.

    Faces of one group are not independent: they are held out together, and drawn together where
    chance is measured. BIWI's subjects are people, 300W-LP's the photographs with all views made
    from them. Names (str) of different kinds cannot be confused. Same index as `faces` (face
    table).
    """
    groups = faces["image"].where(faces["video"] == "", "video " + faces["video"])
    return groups.where(faces["subject"] == "", faces["subject"]).rename("group")


def hold_out(faces: pd.DataFrame, share: float) -> pd.Series:
    """Which faces of a training set are validation faces: bool, same index as `faces`.

    At least `share` (in [0; 1)) of the faces, chosen by whole groups (`groups_of`). These are taken
    in the order of a hash of their names: nothing but the names decides. A corpus that grows keeps
    most of its validation faces. Empty for a share of 0.
    """
    groups = groups_of(faces)
    sizes = groups.value_counts()
    ranked = sizes.loc[sorted(sizes.index, key=lambda name: blake2b(name.encode()).digest())]
    before = ranked.cumsum() - ranked
    return groups.isin(ranked.index[before < share * len(faces)])
