"""Every `dvc exp run -S …` that the pages print changes a params file, into one that is valid."""

import re
import shlex
import shutil

import pytest
import yaml
from dvc.utils.hydra import apply_overrides, get_hydra_sweeps
from tiny_project import ROOT

from hpe_core.common.errors import InputError
from hpe_core.params import validate_file

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "params.yaml"]
# In these pages the experiments are of that profile.
PROFILES = {"docs/real-faces.md": "pipeline/profiles/aflw-small.yaml"}
REFUSED = {"~protocols.p2.train.AFLW.split"}  # as docs/pipeline.md says
NOTHING = {"protocols.p2.train.AFLW={}"}  # likewise


def printed() -> list[tuple[str, tuple[str, ...]]]:
    """Page and overrides of every command; and those that stand alone in a sentence."""
    found = set()
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        text = page.read_text().replace("\\\n", " ")
        for command in re.findall(r"dvc exp run ([^`\n]*)", text):
            words = shlex.split(command.partition(" #")[0])
            given = [words[at + 1] for at, word in enumerate(words) if word == "-S"]
            found |= {(name, tuple(given))} if given else set()
        for command in re.findall(r"`(-S [^`]*)`", text):
            found.add((name, tuple(word for word in shlex.split(command) if word != "-S")))
    return sorted(found)


COMMANDS = [pytest.param(page, words, id=f"{page} {' '.join(words)}") for page, words in printed()]


def test_there_are_some():
    assert ("README.md", ("ensemble.K=15",)) in printed()
    assert len(printed()) > 12


@pytest.mark.parametrize(("page", "overrides"), COMMANDS)
def test_a_printed_experiment_changes_the_params_into_valid_ones(page, overrides, tmp_path):
    source, path = ROOT / PROFILES.get(page, "params.yaml"), tmp_path / "params.yaml"
    for each in get_hydra_sweeps({"params.yaml": list(overrides)}):
        shutil.copy(source, path)
        apply_overrides(path, each["params.yaml"])
        changed = yaml.safe_load(path.read_text()) != yaml.safe_load(source.read_text())
        assert changed != (set(overrides) <= NOTHING)
        if set(overrides) & REFUSED:
            with pytest.raises(InputError, match="may train on faces of AFLW"):
                validate_file(path)
        else:
            validate_file(path)
