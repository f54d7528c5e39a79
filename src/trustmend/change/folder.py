"""New folders that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping

_FOLDER_MODE = 0o755  # whatever the umask: bundles are refused where others than their owner can write them
_FILE_MODE = 0o644


def create(path: str, files: Mapping[str, bytes], *, check: Callable[[str], None]) -> None:
    """Make the folder `path` with these files (bare name -> content), with the folders above it.

    Written beside its place under another name, checked there, and renamed: until then `path` does not exist.

    Args:
        path: absolute; nothing is there yet.
        files: what it holds.
        check: called with the finished folder's temporary path; what it raises ends the work, and nothing is left.

    Raises:
        OSError: as the system says it; FileExistsError where `path` has come to be there.
    """
    above, name = os.path.split(path.rstrip("/"))
    os.makedirs(above, exist_ok=True)
    made = tempfile.mkdtemp(prefix=f".{name}-", dir=above)
    try:
        for file, content in files.items():
            _write(f"{made}/{file}", content)
        os.chmod(made, _FOLDER_MODE)
        check(made)
        if os.path.lexists(path):  # a rename would replace an empty folder
            raise FileExistsError(17, "File exists", path)
        os.rename(made, path)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, _FILE_MODE)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
