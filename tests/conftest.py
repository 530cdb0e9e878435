"""The order of the suite, and the examples of its property tests.

`make test` hands whole modules to two processes, one after the other: with the longest last, one of
them would be idle meanwhile. Property tests draw the same examples in every run, so that a commit
passes or fails by what it changes; `pytest --hypothesis-profile=search` looks for new ones.
"""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=3_000, deadline=None)
settings.load_profile("same")

LONGEST = ("test_faults", "test_dvc", "test_stages", "test_packaging", "test_tables")
assert all(Path(__file__).with_name(f"{name}.py").exists() for name in LONGEST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))
