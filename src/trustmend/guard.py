"""Whether a file that this process is to believe could have been written by somebody else."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from trustmend.certificate import printable


@dataclass(frozen=True)
class Doubt:
    """Who else could have written it, as a whole clause, and what to do about it."""

    message: str
    hint: str


def of_path(path: str, what: str) -> Doubt | None:
    """The first doubt about a file or folder; for root also about the folders above it.

    Args:
        path: of this machine; links are followed.
        what: that others could change by it, e.g. "bundle".

    Raises:
        OSError: it cannot be looked at.
    """
    here = os.path.realpath(path)
    doubt = of_status(here, os.stat(here), what)
    while doubt is None and os.geteuid() == 0 and here != "/":
        here = os.path.dirname(here)
        status = os.stat(here)
        if not status.st_mode & stat.S_ISVTX:  # in /tmp nobody can move what is another's
            doubt = of_status(here, status, what)
    return doubt


def of_status(path: str, status: os.stat_result, what: str) -> Doubt | None:
    """A doubt where others can write it. A group of one's own may: many systems give every user one, and umask 002."""
    caller = os.geteuid()
    loose = stat.S_IWOTH | (stat.S_IWGRP if caller == 0 else 0)
    if status.st_uid not in (0, caller):
        return Doubt(
            f"`{printable(path)}` belongs to another user, who could change the {what}",
            f"copy the {what} to a folder of your own",
        )
    if status.st_mode & loose:
        return Doubt(
            f"`{printable(path)}` can be written by other users, who could change the {what}",
            "take the right away with `chmod go-w`, once you know that the content is right",
        )
    return None
