"""Directives in blocks: the syntaxes of nginx, Apache and HAProxy, and lines of words as OpenVPN has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Directive:
    """One directive. `path` holds the names of the blocks around it with their arguments, outermost first."""

    line: int  # 1-based, where it starts
    name: str
    arguments: tuple[str, ...]
    path: tuple[str, ...] = ()


_NGINX_ESCAPES: Final = {"t": "\t", "r": "\r", "n": "\n", '"': '"', "'": "'", "\\": "\\"}


def nginx(text: str) -> Iterator[Directive]:
    """The directives of a file of nginx's, up to the first fault. Source: src/core/ngx_conf_file.c."""
    path: list[str] = []
    words: list[str] = []
    started = 1
    for line, word, quoted in _nginx_tokens(text):
        if word == ";" and not quoted:
            if words:
                yield Directive(started, words[0], tuple(words[1:]), tuple(path))
            words = []
        elif word == "{" and not quoted:
            path.append(words[0] if words else "")
            words = []
        elif word == "}" and not quoted:
            if words or not path:
                return
            path.pop()
        else:
            if not words:
                started = line
            words.append(word)


def _nginx_tokens(text: str) -> Iterator[tuple[int, str, bool]]:
    """Words and the signs ; { }, each with its line, and whether it stood in quotes."""
    at, line, end = 0, 1, len(text)
    first = ""  # the word with which the present directive started
    while at < end:
        sign = text[at]
        if sign in " \t\r\n":
            line += sign == "\n"
            at += 1
        elif sign == "#":
            at = _end_of_line(text, at)
        elif sign in ";{}":
            yield line, sign, False
            at += 1
            if sign == "{" and first.endswith("_by_lua_block"):
                after = _past_braces(text, at)
                line += text.count("\n", at, after)
                yield line, "}", False
                at = after
            first = ""
        else:
            word, after = _nginx_word(text, at)
            yield line, word, sign in "\"'"
            first = first or word
            line += text.count("\n", at, after)
            at = after


def _nginx_word(text: str, at: int) -> tuple[str, int]:
    quote = text[at] if text[at] in "\"'" else ""
    at += bool(quote)
    word: list[str] = []
    while at < len(text):
        sign = text[at]
        if sign == "\\" and at + 1 < len(text):
            word.append(_NGINX_ESCAPES.get(text[at + 1], "\\" + text[at + 1]))
            at += 2
            continue
        if sign == quote:
            at += 1
            break
        if not quote and text.startswith("${", at):
            word.append("${")
            at += 2
            continue
        if not quote and sign in " \t\r\n;{":  # a "}" parts no word: nginx sees it at a word's start alone
            break
        word.append(sign)
        at += 1
    return "".join(word), at


def _past_braces(text: str, at: int) -> int:
    """Where the block that is open at `at` ends, by counting braces; strings of Lua are not looked at."""
    depth = 1
    for found in re.compile(r"[{}]").finditer(text, at):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.end()
    return len(text)


def _end_of_line(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found


_SECTION: Final = re.compile(r"<(/?)\s*([A-Za-z]\w*)\s*(.*?)\s*>?\s*\Z", re.DOTALL)
_APACHE_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|(\S+)', re.DOTALL)


def apache(text: str) -> Iterator[Directive]:
    """The directives of a file of Apache's, with names in small letters; `path` has sections as "name arguments".

    What a condition (<IfModule>, <IfDefine>) holds is taken to be in force. Source: server/config.c, ap_build_config;
    ap_getword_conf.
    """
    path: list[str] = []
    for number, line in _continued(text):
        plain = line.strip()
        if not plain or plain.startswith("#"):
            continue
        section = _SECTION.match(plain) if plain.startswith("<") else None
        if section is not None:
            name = section[2].lower()
            if not section[1]:
                path.append(f"{name} {section[3]}".rstrip())
            elif path and path[-1].partition(" ")[0] == name:
                path.pop()
            continue
        words = [_apache_word(found) for found in _APACHE_WORD.finditer(plain)]
        yield Directive(number, words[0].lower(), tuple(words[1:]), tuple(path))


def _apache_word(found: re.Match[str]) -> str:
    for number, quote in ((1, '"'), (2, "'")):
        if found[number] is not None:
            return re.sub(rf"\\([\\{quote}])", r"\1", found[number])
    return found[3]


def _continued(text: str) -> Iterator[tuple[int, str]]:
    """Lines, joined where a backslash ends one, with the number of the first."""
    parts: list[str] = []
    start = 1
    for number, line in enumerate(text.split("\n"), 1):
        if not parts:
            start = number
        if line.endswith("\\"):
            parts.append(line[:-1])
            continue
        yield start, "".join((*parts, line))
        parts = []
    if parts:
        yield start, "".join(parts)


_HAPROXY_SECTIONS: Final = re.compile(
    r"(?:global|defaults|frontend|backend|listen|peers|resolvers|userlist|mailers|ring|log-forward|program|cache"
    r"|http-errors|crt-store|fcgi-app|traces)\Z"
)


def haproxy(text: str) -> Iterator[Directive]:
    """The lines of a file of HAProxy's; `path` is (section,), "global" or "backend". Words keep "$NAME" as it is.

    Source: doc/configuration.txt, 2.2 "Quoting and escaping"; src/tools.c, parse_line.
    """
    section: tuple[str, ...] = ()
    for number, line in _continued(text):
        words = tuple(_haproxy_words(line))
        if not words:
            continue
        if _HAPROXY_SECTIONS.match(words[0]):
            section = (words[0],)
            continue
        yield Directive(number, words[0], words[1:], section)


def _haproxy_words(line: str) -> Iterator[str]:
    word: list[str] | None = None
    quote = ""
    at = 0
    while at < len(line):
        sign = line[at]
        at += 1
        if sign == quote:
            quote = ""
        elif not quote and sign in "\"'":
            quote, word = sign, word if word is not None else []
        elif sign == "\\" and quote != "'" and at < len(line):
            word = [*(word or ()), line[at]]
            at += 1
        elif not quote and sign in " \t\r":
            if word is not None:
                yield "".join(word)
            word = None
        elif not quote and sign == "#":
            break
        elif word is None:
            word = [sign]
        else:
            word.append(sign)
    if word is not None:
        yield "".join(word)


def worded(text: str) -> Iterator[Directive]:
    """Lines of a name and its words, in quotes or not, with comments by "#" or ";": OpenVPN's and slapd.conf's.

    `<name>` to `</name>` is one directive whose second argument is the text between (OpenVPN's inline files).
    """
    inline: tuple[int, str, list[str]] | None = None
    for number, line in enumerate(text.split("\n"), 1):
        plain = line.strip()
        if inline is not None:
            if plain == f"</{inline[1]}>":
                yield Directive(inline[0], inline[1], ("[inline]", "\n".join([*inline[2], ""])))
                inline = None
            else:
                inline[2].append(plain)
        elif plain.startswith("<") and plain.endswith(">") and not plain.startswith("</"):
            inline = (number, plain[1:-1], [])
        elif plain and plain[0] not in "#;":
            words = [_apache_word(found) for found in _APACHE_WORD.finditer(plain)]
            yield Directive(number, words[0].removeprefix("--"), tuple(words[1:]))
