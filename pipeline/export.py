"""Writes one of our students as the .pth that the published evaluation program reads.

python -m pipeline.export --network data/models/p1/kd-resnet18-1.safetensors --output kd.pth
"""

import argparse
from pathlib import Path

from hpe_core.errors import InputError
from hpe_core.io.checkpoints import load_network, save_published
from hpe_core.networks import StudentNet
from pipeline._cli import run


def main(*, network: Path, output: Path) -> None:
    student, _ = load_network(network)
    if not isinstance(student, StudentNet):
        raise InputError(f"{network}: a base network; the published format holds students only")
    save_published(student, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", type=Path, required=True, help="a student")
    parser.add_argument("--output", type=Path, required=True, help="file to write, .pth")
    run(main, parser)
