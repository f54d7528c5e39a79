"""Files of sections and `key = value` lines: one reader, with the ways in which its dialects differ; and git's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from trustmend.places.config.syntax import Item


@dataclass(frozen=True)
class Dialect:
    """How one product reads its ini files.

    comments: signs that start a comment at the start of a line.
    delimiters: signs that part key and value.
    inline: what starts a comment behind a value, where it is not in quotes.
    indented: a line that starts with a blank goes on with the value before it (Python's configparser).
    continued: a line whose last sign is a backslash goes on in the next one, with a blank between (systemd.syntax(7)).
    quotes: one pair of these around a value is cut, and no comment starts inside of it.
    escapes: "\\s" is a blank, "\\t" a tab and so on, whatever the quotes.
    lower: keys are the same in capitals and small letters.
    """

    comments: str = "#;"
    delimiters: str = "="
    inline: tuple[str, ...] = ()
    indented: bool = False
    continued: bool = False
    quotes: str = ""
    escapes: bool = False
    lower: bool = False


PYTHON: Final = Dialect(delimiters="=:", indented=True, lower=True)  # configparser
SYSTEMD: Final = Dialect(continued=True)
PHP: Final = Dialect(comments=";", inline=(";",), quotes="\"'")  # language.ini: Zend/zend_ini_scanner.l
NPM: Final = Dialect(inline=(" ;", " #", "\t;", "\t#"))  # the package `ini`, which npm uses; quotes are JSON's
_MYSQL_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "s": " ", "\\": "\\"}
MYSQL: Final = Dialect(
    inline=("#",), quotes="\"'", escapes=True
)  # my_default.c; dashes and underscores are the same in keys
LIBPQ: Final = Dialect(comments="#")  # libpq-pgservice; no blanks around "="


def items(text: str, dialect: Dialect) -> Iterator[Item]:
    """Every key with its value, in their order; `path` is (section,), or () above the first. What is none is skipped.

    A key without a delimiter has the value "".
    """
    section: tuple[str, ...] = ()
    for number, line in _lines(text, dialect):
        plain = line.strip()
        if plain.startswith("[") and "]" in plain:
            section = (plain[1 : plain.rindex("]") if dialect.indented else plain.index("]")].strip(),)
            continue
        cut = min((at for sign in dialect.delimiters if (at := plain.find(sign)) >= 0), default=len(plain))
        key = plain[:cut].rstrip()
        if key:
            yield Item(
                number, key.lower() if dialect.lower else key, _value(plain[cut + 1 :].strip(), dialect), section
            )


def _lines(text: str, dialect: Dialect) -> Iterator[tuple[int, str]]:
    """Logical lines without comments and empty ones, each with the number of its first."""
    parts: list[str] = []
    start = 0
    going_on = False
    for number, line in enumerate(text.split("\n"), 1):
        first = line.lstrip()[:1]
        if first and first in dialect.comments:
            continue
        more = going_on or (dialect.indented and line[:1] in (" ", "\t") and bool(first) and bool(parts))
        if not more:
            if parts:
                yield start, "".join(parts)
            parts, start = [], number
        going_on = dialect.continued and _odd_backslash(line)
        if first or going_on or more:
            parts.append(
                line[:-1] + " " if going_on else line if not (more and dialect.indented) else "\n" + line.strip()
            )
    if parts:
        yield start, "".join(parts)


def _odd_backslash(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _value(value: str, dialect: Dialect) -> str:
    if dialect.quotes or value[:1] not in ("'", '"'):
        value = value[: _comment(value, dialect)].rstrip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in dialect.quotes:
        value = value[1:-1]
    if dialect.escapes and "\\" in value:
        value = re.sub(r"\\([btnrs\\])", lambda found: _MYSQL_ESCAPES[found[1]], value)
    return value


def _comment(value: str, dialect: Dialect) -> int:
    """Where a comment behind the value starts; its length where there is none."""
    quote = ""
    for at, sign in enumerate(value) if any(one in value for one in dialect.inline) else ():
        if quote:
            quote = "" if sign == quote else quote
        elif sign in dialect.quotes:
            quote = sign
        elif value.startswith(dialect.inline, at):
            return at
    return len(value)


_GIT_SECTION: Final = re.compile(r'\[\s*([-.A-Za-z0-9]+)(?:[ \t]+"((?:[^"\\\n]|\\.)*)")?\s*\]')
_GIT_KEY: Final = re.compile(r"([A-Za-z][-A-Za-z0-9]*)[ \t]*(=|(?=[\n#;]|\Z))")
_GIT_ESCAPES: Final = {"n": "\n", "t": "\t", "b": "\b", "\\": "\\", '"': '"'}


def git_items(text: str) -> Iterator[Item]:
    """What a file of git's holds, with keys in small letters; `path` is (section,) or (section, subsection).

    It ends at the first fault, where git would stop with an error. Source: git-config(1), SYNTAX; config.c,
    git_parse_source and parse_value.
    """
    at, line = 0, 1
    section: tuple[str, ...] = ()
    while at < len(text):
        sign = text[at]
        if sign in "#;":
            at = text.find("\n", at) % (len(text) + 1)
        elif sign.isspace():
            line += sign == "\n"
            at += 1
        elif sign == "[":
            head = _GIT_SECTION.match(text, at)
            if head is None:
                return
            name = head[1].lower()
            section = (name,) if head[2] is None else (name, re.sub(r"\\(.)", r"\1", head[2]))
            at = head.end()
        else:
            found = _GIT_KEY.match(text, at)
            if found is None or not section:
                return
            if not found[2]:
                yield Item(line, found[1].lower(), "true", section)
                at = found.end()
                continue
            value, after = _git_value(text, found.end())
            if value is None:
                return
            yield Item(line, found[1].lower(), value, section)
            line += text.count("\n", at, after)
            at = after


def _git_value(text: str, at: int) -> tuple[str | None, int]:
    """One value, and where its line ends; None for an open quote or an unknown escape."""
    value: list[str] = []
    kept = 0
    quoted = False
    while at < len(text) and (sign := text[at]) != "\n":
        if sign in "#;" and not quoted:
            at = text.find("\n", at) % (len(text) + 1)
            break
        at += 1
        if sign == '"':
            quoted = not quoted
        elif sign == "\\":
            if at >= len(text):
                return None, at
            if text[at] != "\n":
                if text[at] not in _GIT_ESCAPES:
                    return None, at
                value.append(_GIT_ESCAPES[text[at]])
                kept = len(value)
            at += 1
        elif quoted or not sign.isspace():
            value.append(sign)
            kept = len(value)
        elif value:
            value.append(sign)
    return (None if quoted else "".join(value[:kept])), at
