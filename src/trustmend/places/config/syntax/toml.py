"""TOML, by the standard library, with the lines that it does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from trustmend.places.config.syntax import Item

_HEADER: Final = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?\Z")


def items(text: str) -> Iterator[Item]:
    """Every text of a TOML document with the tables around it; nothing for a document that breaks TOML's rules.

    The line is that of the key's last place in its table, or of the table; 1 where neither is found.
    """
    import tomllib  # files of TOML are rare

    try:
        document = tomllib.loads(text.replace("\r\n", "\n"))
    except (ValueError, RecursionError):
        return
    lines = _lines(text)
    for path, key, value in _texts(document, ()):
        yield Item(lines.get((*path, key), lines.get(path, 1)), key, value, path)


def _texts(table: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    stack: list[tuple[tuple[str, ...], dict[str, Any]]] = [(path, table)]
    while stack:
        around, inner = stack.pop()
        for key, value in inner.items():
            if isinstance(value, str):
                yield around, key, value
            elif isinstance(value, dict):
                stack.append(((*around, key), value))


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of each key and table by its full name; quoted names without dots are understood."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        header = _HEADER.match(line.rstrip("\r"))
        if header is not None:
            table = _names(header[1])
            found[table] = number
        elif "=" in line:
            found[table + _names(line.partition("=")[0])] = number
    return found


def _names(dotted: str) -> tuple[str, ...]:
    parts = re.findall(r"\"([^\"]*)\"|'([^']*)'|([^.\s\"']+)", dotted)
    return tuple(one or two or three for one, two, three in parts)
