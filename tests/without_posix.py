"""Runs `hpe` as on Windows, as far as Linux lets one: without what only POSIX systems have.

    python tests/without_posix.py predict photo.jpg

The packages that we use are imported before: they know Windows, by other names.
"""

import os
import signal
import sys
from importlib import import_module

PACKAGES = ("cv2", "numpy", "onnxruntime", "PIL.Image", "tqdm", "typer", "yaml")
PIPELINE = (
    "h5py", "lightning_fabric", "onnx", "onnxscript", "pandas", "pyarrow.parquet",
    "scipy.spatial.transform", "torch", "torch.onnx", "torchvision",
)  # fmt: skip
LIGHT = ("predict", "weights")  # commands that import none of these
MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
OF_OS = (
    "chown", "fork", "forkpty", "geteuid", "getuid", "killpg", "mkfifo", "posix_fadvise",
    "register_at_fork", "sched_getaffinity", "setsid", "uname",
)  # fmt: skip
OF_SIGNAL = ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR1")


def take_away() -> None:
    import fcntl

    synced = os.fsync

    def fsync(file: int) -> None:
        if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor: open for reading only")
        synced(file)

    os.fsync = fsync
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for module, names in ((os, OF_OS), (signal, OF_SIGNAL)):
        for name in names:
            delattr(module, name)


if __name__ == "__main__":
    for package in PACKAGES if sys.argv[1] in LIGHT else PACKAGES + PIPELINE:
        import_module(package)
    take_away()
    from hpe_core.cli.app import main

    sys.argv[0] = "hpe"
    main()
