"""`hpe doctor`: does this installation work, on this machine, with this network?"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hpe_core.cli._options import Detector, Device

_MARKS = {"ok": "ok     ", "skipped": "skipped", "failed": "FAILED "}


def doctor(
    *,
    network: Annotated[
        Path | None, typer.Option(help="A trained network to try, .safetensors.")
    ] = None,
    detector: Detector = None,
    device: Device = "cpu",
    image: Annotated[
        Path | None, typer.Option(help="A picture of a face to try.  [default: a drawn one]")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON array, an object for each check.")
    ] = False,
) -> None:
    """Check packages, devices, detector and network on one face.

    The face that comes with the program is drawn; a detector of photographs finds it, too, and its
    pose must come out within 20°. A picture of your own must only have a face. What is not given is
    skipped. The exit code is 1 if anything failed.
    """
    from hpe_core.cli import _checked  # torch takes seconds

    checks = []
    for check in _checked.checks(network, detector, device, image):
        checks.append(check)
        if not as_json:
            print(f"{_MARKS[check.state]}  {check.name}: {' '.join(check.found.split())}")
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=1))
    raise typer.Exit(any(check.state == "failed" for check in checks))
