"""Which certifi a running Python would import: by the environment that its command line starts it in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trustmend.host import Host

VARIABLES: Final = ("PATH", "HOME", "PYTHONPATH", "PYTHONNOUSERSITE")
HOW: Final = "the certifi that it may import, and requests with it"
_VERSION: Final = re.compile(r"(\d+)\.(\d+)(t?)\Z")
_END: Final = "/certifi/cacert.pem"
_FOLDERS: Final = ("site-packages", "dist-packages")


def version(program: str) -> tuple[str, str | None]:
    """(reader, "3.11") of an executable's name; rules up to 3.12 are those of every older version, too."""
    found = _VERSION.search(program)
    if found is None:
        return "python-3.12", None
    new = (int(found[1]), int(found[2])) >= (3, 13) and not program.startswith("pypy")
    return "python-3.13" if new else "python-3.12", f"{found[1]}.{found[2]}"


def certifi(
    host: Host, bundles: Sequence[str], program: str, words: Sequence[str], environ: Mapping[str, str]
) -> str | None:
    """The bundle of the certifi that comes first on this process's sys.path (site, sysconfig), or None.

    Args:
        host: whose.
        bundles: the paths that can be it.
        program: the executable, resolved.
        words: the command line; its first word tells a virtual environment from the Python that it was made with.
        environ: `VARIABLES` of the process.
    """
    known = {path.removesuffix(_END) for path in bundles if path.endswith(_END)}
    flags = "".join(word[1:] for word in _flags(words))
    folders: list[str] = []
    if not set("IE").intersection(flags):
        folders += environ.get("PYTHONPATH", "").split(":")
    numbers = _VERSION.search(program)
    kind = "pypy" if os.path.basename(program).startswith("pypy") else "python"
    name = f"{kind}{numbers[1]}.{numbers[2]}{numbers[3]}" if numbers else "python3"
    base = os.path.dirname(os.path.dirname(program))
    venv = _environment(host, words[0] if words else "", environ)
    if venv is not None:
        folders += _libraries(venv[0], name)
    if venv is None or venv[1]:
        if not set("Is").intersection(flags) and not environ.get("PYTHONNOUSERSITE") and environ.get("HOME"):
            folders += _libraries(f"{environ['HOME']}/.local", name)
        folders += [*(_libraries("/usr/local", name) if base == "/usr" else ()), *_libraries(base, name)]
    return next((f"{folder.rstrip('/')}{_END}" for folder in folders if folder.rstrip("/") in known), None)


def _flags(words: Sequence[str]) -> Iterator[str]:
    """The interpreter's own options of one letter each, such as "-Im"."""
    for word in words[1:]:
        if not word.startswith("-") or word == "-":
            return
        if not word.startswith("--"):
            yield re.split("[cmWX]", word)[0]
        if re.match(r"-[A-Za-z]*[cm]", word):
            return


def _libraries(prefix: str, name: str) -> list[str]:
    """The library folders below a prefix, Debian's shared /usr/lib/python3 as well."""
    names = (name, "python3") if name.startswith("python3") else (name,)
    return [f"{prefix}/{lib}/{one}/{folder}" for one in names for lib in ("lib", "lib64") for folder in _FOLDERS]


def _environment(host: Host, first: str, environ: Mapping[str, str]) -> tuple[str, bool] | None:
    """(the virtual environment, whether it also sees the system's packages) by pyvenv.cfg (PEP 405)."""
    if "/" not in first:
        places = environ.get("PATH", "").split(":")
        first = next((path for place in places if host.is_file(path := f"{place}/{first}")), first)
    if not first.startswith("/"):
        return None
    for folder in (os.path.dirname(first), os.path.dirname(os.path.dirname(first))):
        try:
            text = host.read(f"{folder}/pyvenv.cfg", limit=65536).content.decode("utf-8", "replace")
        except OSError:
            continue
        shared = re.search(r"^\s*include-system-site-packages\s*=\s*true\s*$", text, re.MULTILINE | re.IGNORECASE)
        return folder, shared is not None
    return None
