"""Stages as processes of their own, forked from a server that has imported all of them.

A process that imports torch starts after 4 s of work; such a child after none. It is one of
Python's own in all else: its memory, signals, exit code and what it prints are its own.
"""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from tiny_project import ROOT

from hpe_core.common.stage import run

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        *(f"pipeline.{path.stem}" for path in ROOT.glob("pipeline/[!_]*.py")),
        "forks",
        "torch._dynamo",  # which optimizers import, for two seconds
    ]
)
Prepare = Callable[[], None]


def start(
    module: str,
    words: Sequence[object],
    log: Path | Connection,
    *,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    prepare: Prepare | None = None,
) -> BaseProcess:
    """Starts a stage by its command line, in a session of its own, in `folder`.

    module: as `pipeline.sweep`; log: what it prints, stdout and stderr, goes there; prepare: a
    function of a module, called in the child before the stage.
    """
    line = [str(word) for word in words]
    more = dict(environment or {})
    child = SERVER.Process(target=_stage, args=(module, line, log, folder, more, prepare))
    child.start()
    return child


def _stage(
    module: str,
    words: list[str],
    log: Path | Connection,
    folder: Path,
    environment: dict[str, str],
    prepare: Prepare | None,
) -> None:
    with log.open("ab") if isinstance(log, Path) else log as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    multiprocessing.set_start_method("fork", force=True)  # Python's own; not the server's
    if prepare:
        prepare()
    sys.argv = [module, *words]
    run(import_module(module).main)


def start_ranks(
    processes: int, module: str, words: Sequence[object], log: Path, **how: object
) -> list[BaseProcess]:
    """As many processes of one stage, each told what torchrun would tell it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    world |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "tests"}
    return [
        start(module, words, log, environment={**world, "RANK": rank, "LOCAL_RANK": rank}, **how)
        for rank in map(str, range(processes))
    ]
