"""Words: how systemd and the shell part a text into them, and how a name in them is replaced by its value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

UNKNOWN: Final = "\0"
"""Stands for the part of a value that only a running program would know; no path can have it."""
_SIMPLE: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "s": " ",
}
_NUMBERED: Final = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-7]{3})")
_BLANKS: Final = " \t\n\r"
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
QUOTED: Final = "\1"
"""Before a sign that quotes or a backslash took its meaning."""
_REFERENCE: Final = re.compile(rf"(?<!{QUOTED})\$(?:\{{({_NAME})(?::?(-|\+|=|\?)([^{{}}]*))?\}}|({_NAME})|(\$))")


def systemd_words(text: str, *, relaxed: bool = False) -> Iterator[str]:
    """The words of a systemd setting: blanks part them, quotes group wherever they stand, C's escapes are undone.

    It ends at the first fault, as systemd does: an open quote, or an unknown escape unless `relaxed`, which keeps
    the backslash. Source: systemd.syntax(7), src/basic/extract-word.c.
    """
    at, end = 0, len(text)
    while True:
        while at < end and text[at] in _BLANKS:
            at += 1
        if at == end:
            return
        word, quote = [], ""
        while at < end and (quote or text[at] not in _BLANKS):
            sign = text[at]
            at += 1
            if sign == quote:
                quote = ""
            elif not quote and sign in "'\"":
                quote = sign
            elif sign != "\\":
                word.append(sign)
            elif (found := _unescaped(text, at)) is not None:
                word.append(found[0])
                at = found[1]
            elif relaxed and at < end:
                word.append("\\")
            else:
                return
        if quote:
            return
        yield "".join(word)


def _unescaped(text: str, at: int) -> tuple[str, int] | None:
    """What the escape whose backslash ends before `at` stands for, and where it ends (cunescape_one)."""
    if at < len(text) and (simple := _SIMPLE.get(text[at])) is not None:
        return simple, at + 1
    found = _NUMBERED.match(text, at)
    if found is None:
        return None
    byte, short, long, octal = found.groups()
    number = int(octal, 8) if octal else int(byte or short or long, 16)
    if number == 0 or number > (0x10FFFF if short or long else 0xFF) or 0xD800 <= number <= 0xDFFF:
        return None
    if byte or octal:
        return bytes([number]).decode("utf-8", "surrogateescape"), found.end()
    return chr(number), found.end()


def expanded(text: str, lookup: Callable[[str], str | None]) -> str:
    """`text` with $NAME, ${NAME}, ${NAME:-default} and ${NAME:+other} replaced; what is not known becomes UNKNOWN.

    Args:
        text: without quotes and escapes; a "$" after the sign QUOTED means itself.
        lookup: gives a variable's value, or None where it is not known to be set.
    """
    return _REFERENCE.sub(lambda found: _value(found, lookup), text) if "$" in text else text


def _value(found: re.Match[str], lookup: Callable[[str], str | None]) -> str:
    braced, operator, word, bare, _ = found.groups()
    if braced is None and bare is None:
        return "$"  # of "$$" in environment.d; for the shell that is another "$" of unknown meaning
    value = lookup(braced or bare)
    match operator:
        case "-" | "=":
            return value or expanded(word, lookup)
        case "+":
            return expanded(word, lookup) if value else ""
        case _:
            return UNKNOWN if value is None else value
