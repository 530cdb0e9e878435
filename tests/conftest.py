"""The order of the suite. `make test` hands whole modules to two processes, one after the other:
with the longest last, one of them would be idle meanwhile.
"""

from pathlib import Path

import pytest

LONGEST = ("test_faults", "test_dvc", "test_stages", "test_packaging", "test_tables")
assert all(Path(__file__).with_name(f"{name}.py").exists() for name in LONGEST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))
