"""Java's properties files. Source: java.util.Properties.load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from trustmend.places.config.syntax import Item

_BLANKS: Final = " \t\f"
_KEY: Final = re.compile(r"((?:[^\\=: \t\f]|\\.)*)[ \t\f]*[=:]?[ \t\f]*", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.)|\Z)", re.DOTALL)
_SIGNS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def items(text: str) -> Iterator[Item]:
    """Every key with its value, in their order; the line is the one on which the key stands."""
    for number, line in _lines(text):
        found = _KEY.match(line)
        if found is not None:
            yield Item(number, _unescaped(found[1]), _unescaped(line[found.end() :]))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines: a backslash at the end goes on with the next line, whose leading blanks do not count."""
    parts: list[str] = []
    start = 0
    for number, raw in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        line = raw.lstrip(_BLANKS)
        if not any(parts):  # what a lone backslash goes on with may be a comment, too
            parts = []
            if not line or line[0] in "#!":
                continue
            start = number
        if (len(line) - len(line.rstrip("\\"))) % 2:
            parts.append(line[:-1])
            continue
        yield start, "".join((*parts, line))
        parts = []
    if any(parts):
        yield start, "".join(parts)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_sign, text) if "\\" in text else text


def _sign(found: re.Match[str]) -> str:
    if found[1] is not None:
        code = int(found[1], 16)
        return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)
    return _SIGNS.get(found[2] or "", found[2] or "")
