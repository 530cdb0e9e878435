"""Single flipped bits in a file, each read in a process of its own kind, and what came of it.

Native libraries may crash or hang on damaged files: a reader runs in a forked child, and its death
is one flip's outcome. A child reads on until it dies; another takes the next flip.
"""

import multiprocessing
import re
import resource
from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hpe_core.common.errors import InputError

LIMIT_S = 20.0  # a flip
MEMORY_BYTES = 8 << 30  # more than the process has: a damaged size must not take the machine's
DETECTED, OUTSIDE = "detected", "outside the data"

Read = Callable[[Path], Any]


def sort_flips(path: Path, read: Read, remedy: str, flips: int, seed: int = 0) -> dict[str, int]:
    """Outcome → how many of `flips` random single bits of the file it was.

    read: all of the file's content that a stage uses. remedy: how an error must end, a pattern; it
    must also name the file. DETECTED: such an InputError. OUTSIDE: the content is that of the whole
    file to the last bit. Everything else is described in words.
    """
    whole, counts = path.read_bytes(), dict[str, int]()
    rng = np.random.default_rng(seed)
    places = [(int(rng.integers(len(whole))), int(rng.integers(8))) for _ in range(flips)]
    for outcome in _outcomes(path, whole, read, remedy, places):
        counts[outcome] = counts.get(outcome, 0) + 1
    path.write_bytes(whole)
    return counts


def _outcomes(
    path: Path, whole: bytes, read: Read, remedy: str, places: list[tuple[int, int]]
) -> Iterator[str]:
    fork = multiprocessing.get_context("fork")
    done = 0
    while done < len(places):
        ours, theirs = fork.Pipe(duplex=False)
        arguments = (theirs, path, whole, read, remedy, places[done:])
        child = fork.Process(target=_read_flipped, args=arguments, daemon=True)
        child.start()
        theirs.close()
        for _ in places[done:]:
            try:
                outcome = ours.recv() if ours.poll(LIMIT_S) else "hang"
            except EOFError:
                child.join()
                outcome = f"crash: {child.exitcode}"
            yield outcome
            done += 1
            if outcome.startswith(("hang", "crash")):
                break
        child.kill()
        child.join()


def _read_flipped(
    results: Connection,
    path: Path,
    whole: bytes,
    read: Read,
    remedy: str,
    places: list[tuple[int, int]],
) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES,) * 2)
    expected = plain(read(path))
    for byte, bit in places:
        data = bytearray(whole)
        data[byte] ^= 1 << bit
        path.unlink()  # a library may still have the last one open
        path.write_bytes(data)
        try:
            outcome = OUTSIDE if plain(read(path)) == expected else "other data"
        except InputError as error:
            named = str(path) in str(error) and re.search(remedy, str(error))
            outcome = DETECTED if named else f"unnamed: {str(error).replace(str(path), 'PATH')}"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        results.send(outcome)


def plain(value: Any) -> Any:
    """Equal for values that are equal to the last bit, NaN and types included."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, torch.Tensor):
        return plain(value.numpy())
    if isinstance(value, pd.DataFrame):
        columns = [(value[name].dtype, plain(value[name].to_numpy())) for name in value]
        return list(value), list(value.index), columns
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return [(plain(key), plain(entry)) for key, entry in value.items()]
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(entry) for entry in value]
    return type(value), repr(value)
