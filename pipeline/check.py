"""Checks the whole params.yaml before anything runs: a wrong value costs seconds, not days.

    params.yaml → a file that says so, on which the first stages wait

The file is always the same, so a valid change re-runs only the stages that read it.
"""

import argparse
from pathlib import Path

from hpe_core.io.files import atomic
from hpe_core.params.check import validate_file
from pipeline._cli import run


def main(*, params: Path, checked: Path) -> None:
    validate_file(params)
    with atomic(checked) as temporary:
        temporary.write_text("params.yaml is valid\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--checked", type=Path, required=True)
    run(main, parser)
