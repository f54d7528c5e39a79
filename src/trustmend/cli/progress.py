"""A progress line on a terminal; nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trustmend.cli.app import Settings


@contextmanager
def scan_progress(settings: Settings, *, shown: bool) -> Iterator[Callable[[int], None] | None]:
    """A function that shows how many files were looked at, or None where nobody would see it."""
    if not shown or settings.verbosity < 0 or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, no_color=not settings.color, highlight=False, markup=False)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} files looked at"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("scan", total=None)
        yield lambda count: progress.update(task, completed=count)
