"""Exports a student as a .pth for the published evaluation program.

python -m pipeline.export --network data/models/p1/kd-resnet18-1.safetensors --output kd.pth
"""

from pathlib import Path

from hpe_core.common.errors import InputError
from hpe_core.common.stage import run
from hpe_core.networks.checkpoints import load_network, save_published
from hpe_core.networks.model import StudentNet


def main(*, network: Path, output: Path) -> None:
    """Raises InputError for a base network.

    Args:
        network: a student, .safetensors
        output: .pth to write
    """
    student, _ = load_network(network)
    if not isinstance(student, StudentNet):
        raise InputError(f"{network}: a base network; the published format holds students only")
    save_published(student, output)


if __name__ == "__main__":
    run(main)
