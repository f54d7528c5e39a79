"""Reading configuration files: which may be read, and how their bytes become text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trustmend.places.tree import leaves_home

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

MAX_BYTES: Final = 512 * 1024
"""No configuration that people write is larger; a larger file is left alone."""


def read_text(host: Host, survey: Survey, path: str) -> str | None:
    """A configuration file's text; None where it is not there, is no file, is too large or may not be read.

    As root, a link that leaves its user's home for what not everybody may read counts as none. Bytes that are no
    UTF-8 stay as surrogates, for they may be a part of a path; a byte order mark and CRs at the ends of lines are cut.
    """
    try:
        content = host.read(path, limit=MAX_BYTES).content
    except OSError:
        return None
    if os.geteuid() == 0 and leaves_home(host, path, survey.get("homes", [])):
        return None
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return text.replace("\r\n", "\n") if "\r" in text else text


_LEFTOVERS: Final = ("~", ".rpmsave", ".rpmnew", ".rpmorig", ".dpkg-old", ".dpkg-dist", ".dpkg-new", ".bak", ".orig")
"""What editors and package managers leave beside a file; those who read whole folders of /etc leave these out."""


def listed(host: Host, folder: str, *endings: str) -> list[str]:
    """The sorted paths in a folder whose names end so; without leftovers and names that start with a dot."""
    names = host.listed(folder)
    kept = (name for name in names if name.endswith(endings or "") and not name.endswith(_LEFTOVERS))
    return [f"{folder}/{name}" for name in kept if not name.startswith(".")]


def homes(survey: Survey) -> Iterator[str]:
    """The homes whose users' own configuration is read."""
    yield from survey.get("homes", [])


def usable(value: str) -> str | None:
    """An absolute path; None for a relative one, or one with a NUL (what is not known), which name no file here."""
    return value if value.startswith("/") and "\0" not in value else None
