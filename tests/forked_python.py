"""A `python` for DVC that starts stages without importing torch again, for four seconds each.

    python -P tests/forked_python.py SOCKET    # in a checkout: imports its stages, forks for each

`serving` starts that server and gives a folder with the `python` to put in front of PATH. A stage
is a process as always, of the checkout's code; only signals to DVC's process group do not reach it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

CLIENT = """#!{python} -SE
import json, os, socket, sys
words = sys.argv[1:]
if words[:1] != ["-m"] or not words[1].startswith("pipeline."):
    os.execv({python!r}, [{python!r}, *words])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"2"], [1, 2])
    server.sendall(json.dumps([words[1], words[2:], os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    code = server.recv(1)
sys.exit(code[0] if code else "the stage died")
"""


@contextmanager
def serving(checkout: Path, folder: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """The folder of the program `python`, which works as long as this lasts."""
    address, program = str(folder / "stages.socket"), folder / "bin" / "python"
    program.parent.mkdir()
    program.write_text(CLIENT.format(python=sys.executable, address=address))
    program.chmod(0o755)
    command = [sys.executable, "-P", __file__, address]
    server = subprocess.Popen(command, cwd=checkout, env=environment)
    try:
        while not Path(address).exists():
            assert server.poll() is None, "the server of stages has died"
            time.sleep(0.05)
        yield program.parent
    finally:
        server.kill()
        server.wait()


def serve(address: str) -> None:
    for path in Path("pipeline").glob("[!_]*.py"):
        import_module(f"pipeline.{path.stem}")
    import_module("torch._dynamo")  # which optimizers import
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the stages
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{address}.new")
        server.listen()
        Path(f"{address}.new").rename(address)
        while True:
            connection, _ = server.accept()
            if not os.fork():
                os._exit(_run(connection))
            connection.close()


def _run(connection: socket.socket) -> int:
    """In the fork: the stage that the client asks for; its exit code, which the client gets."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, outputs, _, _ = socket.recv_fds(connection, 1, 2)
    with connection.makefile("rb") as request:
        module, words, folder, environment = json.load(request)
    for own, given in zip((1, 2), outputs, strict=True):
        os.dup2(given, own)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *words]
    code = 0
    try:
        import_module("hpe_core.common.stage").run(import_module(module).main)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    connection.send(bytes([code]))
    return code


if __name__ == "__main__":
    serve(sys.argv[1])
