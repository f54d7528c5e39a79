"""The syntaxes of configuration files, one module each: text in, settings with their lines out. Nothing is looked up.

Each has a function that takes the text and yields `Item`s and never raises on bad input: what cannot be parsed yields
nothing, for a broken file names no store.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """One setting of a file. `path` holds the names of the sections, blocks or elements around it, outermost first."""

    line: int  # 1-based
    key: str
    value: str = field(repr=False)  # it may be a secret
    path: tuple[str, ...] = ()
