"""Files that include others: the parts of one configuration in the order in which its program reads them."""

from __future__ import annotations

import fnmatch
import posixpath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trustmend.host import Host

MAX_FILES: Final = 500
"""So many files one configuration may have; a loop of includes ends here."""
_MAGIC: Final = frozenset("*?[")


def globbed(host: Host, pattern: str) -> list[str]:
    """The sorted paths that an absolute pattern of the shell's names; a name without such signs is itself."""
    if "\0" in pattern or "$" in pattern:
        return []
    found = [""]
    for part in posixpath.normpath(pattern).strip("/").split("/"):
        if not _MAGIC.intersection(part):
            found = [f"{path}/{part}" for path in found]
            continue
        found = [
            f"{path}/{name}"
            for path in found
            for name in host.listed(path or "/")
            if (not name.startswith(".") or part.startswith(".")) and fnmatch.fnmatchcase(name, part)
        ][:MAX_FILES]
    return found
