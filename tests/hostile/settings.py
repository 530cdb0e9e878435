"""params.yaml: each case changes the demo's text, and `check` has to refuse it."""

import os
import re
from pathlib import Path

from hostile.case import accepted, error


def replace(path: Path, line: str, other: str) -> None:
    """Exchanges the one place that `line` describes (a regular expression, over lines)."""
    text, times = re.subn(line, lambda _: other, path.read_text(), count=1, flags=re.M)
    assert times == 1, line
    path.write_text(text)


# --- values


@error("base.lr", "valid number", "found '1e-4'")
def a_number_that_yaml_reads_as_text(path: Path) -> None:
    replace(path, r"lr: 4\.0e-3", "lr: 1e-4")


@error("base.lr", "finite", "found nan")
def nan(path: Path) -> None:
    replace(path, r"lr: 4\.0e-3", "lr: .nan")


@error("base.lr", "finite", "found inf")
def infinity(path: Path) -> None:
    replace(path, r"lr: 4\.0e-3", "lr: .inf")


@error("base.epochs", "valid integer", "found True")
def yes_for_a_number(path: Path) -> None:
    replace(path, r"epochs: 12", "epochs: yes")


@error("ensemble.flip", "valid boolean", "found 'ja'")
def text_for_yes(path: Path) -> None:
    replace(path, r"flip: true", "flip: ja")


@error("base.epochs", "Field required")
def a_key_is_missing(path: Path) -> None:
    replace(path, r"^  epochs: 12.*$", "")


@error("base.epoch", "not permitted", "found 12")
def an_unknown_key(path: Path) -> None:
    replace(path, r"^  epochs: 12", "  epoch: 12\n  epochs: 12")


@error("unknown sections ['bases']", "expected")
def an_unknown_section(path: Path) -> None:
    path.write_text(path.read_text() + "\nbases: {}\n")


@error("ensemble.K", "greater than or equal to 0", "found -1")
def negative_k(path: Path) -> None:
    replace(path, r"  K: \d+ #", "  K: -1 #")


@error("sweep.K_max = 15 needs a margin of 5 pixels", "found 2", "null")
def a_margin_too_small_for_the_offsets(path: Path) -> None:
    replace(path, r"margin: null #", "margin: 2 #")


@error("ensemble.d", "greater than 0", "found 0")
def a_step_of_0(path: Path) -> None:
    replace(path, r"  d: \d+ #", "  d: 0 #")


@error("crop.height", "greater than 0", "found -32")
def a_negative_size(path: Path) -> None:
    replace(path, r"height: 32", "height: -32")


@error("crop.width", "greater than 0", "found 0")
def a_size_of_0(path: Path) -> None:
    replace(path, r"width: 32", "width: 0")


@error("base.bins_deg", "at least 1 item", "found []")
def no_bins(path: Path) -> None:
    replace(path, r"bins_deg: \[.*\]", "bins_deg: []")


@error("base.bins_deg.0", "greater than or equal to", "found 1e-09")
def bins_of_a_billionth(path: Path) -> None:
    """198 billion of them."""
    replace(path, r"bins_deg: \[.*\]", "bins_deg: [1.0e-9]")


@error("base.bins_deg", "different")
def the_same_bins_twice(path: Path) -> None:
    replace(path, r"bins_deg: \[.*\]", "bins_deg: [1.0, 1.0]")


@error("seeds", "at least 1 item", "found []")
def no_seed(path: Path) -> None:
    replace(path, r"^seeds: \[1\]", "seeds: []")


@error("ensemble.rotations_deg", "at least 1 item", "found []")
def no_rotation(path: Path) -> None:
    replace(path, r"rotations_deg: \[0\.0\]", "rotations_deg: []")


@error("evaluate.yaw_bands_deg", "at least 2 items", "found []")
def no_band(path: Path) -> None:
    replace(path, r"yaw_bands_deg: \[.*\]", "yaw_bands_deg: []")


@error("boxes.scale", "finite", "found inf")
def boxes_of_infinite_size(path: Path) -> None:
    replace(path, r"scale: 1\.0", "scale: .inf")


@error("datasets.../x", "pattern")
def a_dataset_that_is_a_path(path: Path) -> None:
    """Its name becomes a folder."""
    replace(path, r"^  300W_LP: \{", "  ../x: {")


# --- what goes with what


@error("protocols.p1.train is '300W'; expected one of ['300W_LP'")
def a_protocol_of_no_dataset(path: Path) -> None:
    replace(path, r"train: \{300W_LP: \{\}\}", "train: {300W: {}}")


@error("controls is 'resnet10'; expected one of ['resnet8']")
def a_control_of_no_student(path: Path) -> None:
    """What it would gain from a teacher, nobody would know."""
    replace(path, r"^controls: \[resnet8\]", "controls: [resnet10]")


@error("tests.p2-AFLW", "protocols.p2", "AFLW", "may train on faces of")
def a_protocol_that_trains_on_all_of_its_test_set(path: Path) -> None:
    replace(path, r"AFLW: \{split: \[train\]\}", "AFLW: {}")


@error("tests.p2-AFLW", "protocols.p2", "AFLW", "['test']")
def a_protocol_that_trains_on_test_faces_too(path: Path) -> None:
    replace(path, r"AFLW: \{split: \[train\]\}", "AFLW: {split: [train, test]}")


@error("tests.p3-BIWI", "protocols.p3", "BIWI", "['06']")
def a_video_on_both_sides(path: Path) -> None:
    replace(path, r'video: \["01"', 'video: ["06", "01"')


@error("tests.p1-AFLW2000", "protocols.p1", "AFLW2000", "may train on faces of")
def a_protocol_of_the_test_corpus(path: Path) -> None:
    replace(path, r"train: \{300W_LP: \{\}\}", "train: {AFLW2000: {}}")


@accepted
def a_protocol_apart_by_a_second_column(path: Path) -> None:
    replace(path, r"where: \{split: \[test\]\}", "where: {split: [test], box_source: [detected]}")


# --- the file


@error("params.yaml", "'lr' twice")
def a_key_twice(path: Path) -> None:
    """YAML's readers take the last one."""
    replace(path, r"^  lr: 4\.0e-3", "  lr: 1.0e-3\n  lr: 4.0e-3")


@error("params.yaml", "'base' twice")
def a_section_twice(path: Path) -> None:
    path.write_text(path.read_text() + "\nbase: {}\n")


@error("params.yaml: cannot be read as YAML")
def a_payload(path: Path) -> None:
    """Would make the file `executed` beside it."""
    command = f"touch '{path.with_name('executed')}'"
    replace(path, r"lr: 4\.0e-3", f'lr: !!python/object/apply:os.system ["{command}"]')


@error("base.lr", "valid number", "found [", heavy=True)
def a_billion_laughs(path: Path) -> None:
    """A list of ten aliases of a list of ten aliases …: no memory, until it is shown."""
    laughs = ["&x0 lol", *(f"&x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 11))]
    replace(path, r"lr: 4\.0e-3", f"lr: [{', '.join(laughs)}]")


@error("params.yaml: cannot be read as YAML")
def ten_thousand_brackets(path: Path) -> None:
    path.write_text("data: " + "[" * 10_000)


@error("params.yaml", "base", "found [[")
def a_list_that_holds_itself(path: Path) -> None:
    replace(path, r"lr: 4\.0e-3", "lr: &a [*a]")


@error("params.yaml: cannot be read as YAML")
def a_thirteenth_month(path: Path) -> None:
    replace(path, r"lr: 4\.0e-3", "lr: 2001-13-99")


@error("params.yaml", "expected text as a key, found 1")
def a_number_for_a_section(path: Path) -> None:
    path.write_text(path.read_text() + "\n1: {}\n")


@error("params.yaml: cannot be read as YAML")
def latin_1(path: Path) -> None:
    path.write_bytes(b"# \xfc\n" + path.read_bytes())


@error("params.yaml", "found NoneType")
def zero_bytes(path: Path) -> None:
    path.write_bytes(b"")


@error("params.yaml: cannot be read as YAML")
def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@error("params.yaml", "expected at most 1000000 bytes", heavy=True)
def eight_gigabytes(path: Path) -> None:
    os.truncate(path, 2**33)
