"""`python -m hpe_core.cli` is `hpe`."""

from hpe_core.cli.app import main

main()
