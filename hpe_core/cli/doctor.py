"""`hpe doctor`: does this installation work, on this machine, with this network?"""

from pathlib import Path
from typing import Annotated

import typer

from hpe_core.cli.options import (
    DetectorOption,
    DeviceOption,
    JsonOption,
    NetworkOption,
    print_each,
)

_MARKS = {"ok": "ok     ", "skipped": "skipped", "failed": "FAILED "}


def doctor(
    *,
    network: NetworkOption = None,
    detector: DetectorOption = None,
    device: DeviceOption = "cpu",
    image: Annotated[
        Path | None, typer.Option(help="An image of a face to try.  [default: a rendered face]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check the packages, and a network on one face.

    The built-in test face is rendered, but detectors for photographs find it, too. The network's
    pose must be within 20° of the rendered one. In an image of your own, a face must only be
    found. The exit code is 1 if a check failed.
    """
    from hpe_core.inference.self_test import Check, checks

    def line(check: Check) -> str:
        return f"{_MARKS[check.state]}  {check.name}: {' '.join(check.found.split())}"

    done = print_each(checks(network, detector, device, image), as_json, line)
    raise typer.Exit(any(check.state == "failed" for check in done))
