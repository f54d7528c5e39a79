"""Assignments: of shell scripts, of systemd's environment files, of /etc/environment and of crontabs.

Nothing is executed. A value's unknown parts (commands, unset variables) are `words.UNKNOWN`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from trustmend.places.config.syntax import Item
from trustmend.places.config.syntax.words import QUOTED, UNKNOWN, expanded

_BLANKS: Final = " \t\n\r"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PAM_NAME: Final = re.compile(r"[A-Za-z0-9_]+\Z")
_ASSIGNED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_DECLARING: Final = frozenset({"export", "declare", "typeset", "readonly", "local"})
_HEREDOC: Final = re.compile(r"<<-?[ \t]*(['\"\\]?)([A-Za-z_]\w*)['\"]?")
_END: Final = re.compile(r"[\n\r]")
_NEEDS_ESCAPE: Final = '"\\`$'
EXPORTED: Final = "export"
"""The `path` of an item whose variable the script hands on to the programs that it starts."""


def systemd_assignments(text: str) -> Iterator[Item]:
    """The assignments of a file for `EnvironmentFile=` or of environment.d, in their order, nothing expanded.

    Source: systemd.exec(5); src/basic/env-file.c, parse_env_file_internal.
    """
    at, line, end = 0, 1, len(text)
    while at < end:
        if text[at] in _BLANKS:
            line += text[at] == "\n"
            at += 1
            continue
        stop = _line_end(text, at)
        if text[at] in "#;":
            at = stop
            continue
        key, equals, _ = text[at:stop].partition("=")
        if not equals:
            at = stop
            continue
        value, after = _systemd_value(text, at + len(key) + 1)
        if _NAME.match(key.rstrip(_BLANKS)):
            yield Item(line, key.rstrip(_BLANKS), value)
        line += text.count("\n", at, after)
        at = after


def _line_end(text: str, at: int) -> int:
    found = _END.search(text, at)
    return found.start() if found else len(text)


def _systemd_value(text: str, at: int) -> tuple[str, int]:
    """One value from `at` on, and where its line ends."""
    value: list[str] = []
    kept = 0  # so much of the value is safe from the cut of blanks at its end
    quote = ""
    bare = False  # in the midst of unquoted text, where a quote is a sign like others
    while at < len(text):
        sign = text[at]
        at += 1
        if quote:
            if sign == quote:
                quote = ""
            elif sign == "\\" and quote == '"' and at < len(text):
                following = text[at]
                at += 1
                value.append(following if following in _NEEDS_ESCAPE else "" if following == "\n" else "\\" + following)
            else:
                value.append(sign)
            kept = len(value)
        elif sign in "\n\r":
            at -= 1
            break
        elif sign == "\\":
            if at < len(text):
                value.append("" if text[at] in "\n\r" else text[at])
                at += 1
            kept, bare = len(value), True
        elif sign in "'\"" and not bare:
            quote = sign
        elif sign not in _BLANKS:
            value.append(sign)
            kept, bare = len(value), True
        elif bare:
            value.append(sign)
    return "".join(value[:kept]), at


def pam_assignments(text: str) -> Iterator[Item]:
    """The assignments of /etc/environment: "export" is skipped, "#" starts a comment, one pair of quotes is cut.

    A backslash at the end joins lines, and blanks at the end belong to the value. Source: pam_env(8);
    modules/pam_env/pam_env.c, _assemble_line and _parse_env_file; seen with Linux-PAM 1.5.2.
    """
    parts: list[str] = []
    start = 1
    for number, line in enumerate(text.split("\n"), 1):
        start = start if parts else number
        plain, comment, _ = line.partition("#")
        joined = plain.rstrip(" \t")
        if not comment and joined.endswith("\\"):
            parts.append(joined[:-1])
            continue
        whole = "".join([*parts, plain]).lstrip(_BLANKS).removeprefix("export ")
        parts = []
        key, equals, value = whole.partition("=")
        if equals and _PAM_NAME.match(key):
            if value[:1] in ("'", '"') and value:
                value = value[1:-1] if value[-1] in "'\"" and len(value) > 1 else value[1:]
            yield Item(start, key, value)


def cron_assignments(text: str) -> Iterator[Item]:
    """The variables that a crontab sets: `NAME = value`, either in quotes, nothing expanded. Source: crontab(5)."""
    for number, raw in enumerate(text.split("\n"), 1):
        key, equals, value = raw.strip(" \t").partition("=")
        key, value = _unquoted(key.strip(" \t")), value.strip(" \t")
        if equals and _NAME.match(key):
            yield Item(number, key, _unquoted(value))


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" else text


def shell_assignments(text: str, environ: Mapping[str, str]) -> Iterator[Item]:
    """The assignments that a shell script makes on its own lines, in their order, whatever conditions they stand under.

    `environ` gives the variables known before, HOME above all; those that the script sets are known from then on.
    The `path` is (EXPORTED,) where the script exports the variable anywhere. Functions, loops and commands are not
    followed. Source: POSIX.1-2017, Shell Command Language 2.2 (quoting), 2.6 (expansions).
    """
    known = dict(environ)
    items: list[Item] = []
    exported: set[str] = set()
    every = False
    for line, command in _commands(text):
        declares = command[0][0] in _DECLARING
        every = every or [word for word, _ in command[:2]] in (["set", "-a"], ["set", "-o"])
        for word, literal in command[1:] if declares else command:
            found = _ASSIGNED.match(word)
            if found is None:
                if declares and _NAME.match(word) and command[0][0] != "readonly":
                    exported.add(word)
                if declares:
                    continue
                break  # a program's name: what follows are its arguments, and what was before is for it alone
            name, more = found.groups()
            value = _expanded(literal[found.end() :], known)
            if more:
                value = known.get(name, "") + value
            known[name] = value
            items.append(Item(line, name, value))
            if every or (declares and command[0][0] in ("export", "declare", "typeset")):
                exported.add(name)
    for item in items:
        yield Item(item.line, item.key, item.value, (EXPORTED,)) if item.key in exported else item


def _expanded(literal: str, known: Mapping[str, str]) -> str:
    """A word's value: a leading tilde, then variables, then without the marks of quoted signs."""
    if literal == "~" or literal.startswith("~/"):
        literal = known.get("HOME", UNKNOWN) + literal[1:]
    value = expanded(literal, known.get)
    value = re.sub(rf"(?<!{QUOTED})\$", UNKNOWN, value)  # $(...), $1, $?: not to be known here
    return re.sub(rf"(?<!{QUOTED})`[^`]*`?", UNKNOWN, value).replace(QUOTED, "")


def _commands(text: str) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Every simple command with its line: its words bare, and with marks where a sign means itself.

    A text that is not the shell's yields what could be read of it; nothing is raised.
    """
    at, line, end = 0, 1, len(text)
    command: list[tuple[str, str]] = []
    started = 1
    while at < end:
        sign = text[at]
        if sign == "#":
            at = _line_end(text, at)
        elif sign == "\n" or sign in ";&|(){}":
            if command:
                yield started, command
                command = []
            line += sign == "\n"
            at += 1
        elif sign in _BLANKS or text.startswith("\\\n", at):
            line += sign == "\\"
            at += 1 + (sign == "\\")
        elif sign in "<>":
            heredoc = _HEREDOC.match(text, at)
            if heredoc is None:
                at += 1
                continue
            finish = re.compile(rf"\n[\t]*{heredoc[2]}(?=\n|\Z)").search(text, heredoc.end())
            rest = _line_end(text, heredoc.end())
            after = finish.end() if finish else end
            # The rest of the command's own line is given up, too: nobody assigns there.
            line += text.count("\n", at, max(rest, after))
            at = max(rest, after)
        else:
            word, after = _shell_word(text, at)
            if not command:
                started = line
            command.append(word)
            line += text.count("\n", at, after)
            at = after
    if command:
        yield started, command


def _shell_word(text: str, at: int) -> tuple[tuple[str, str], int]:
    """One word from `at` on, and where it ends."""
    literal: list[str] = []
    quote = ""
    while at < len(text):
        sign = text[at]
        if quote == "'":
            if sign == "'":
                quote = ""
            else:
                literal.append(QUOTED + sign if sign in "$`~" else sign)
        elif sign == "\\" and at + 1 < len(text):
            at += 1
            if text[at] != "\n":
                kept = "\\" if quote and text[at] not in _NEEDS_ESCAPE else ""
                literal.append(kept + (QUOTED + text[at] if text[at] in "$`~" else text[at]))
        elif sign in "\"'" and not (quote and sign != quote):
            quote = "" if quote else sign
        elif text.startswith(("${", "$("), at):
            inner = _nested(text, at)
            literal.append(text[at:inner] if text[at + 1] == "{" else UNKNOWN)
            at = inner
            continue
        elif not quote and (sign in _BLANKS or sign in ";&|()<>"):
            break
        else:
            literal.append(QUOTED + sign if quote and sign == "~" else sign)
        at += 1
    joined = "".join(literal)
    return (joined.replace(QUOTED, ""), joined), at


def _nested(text: str, at: int) -> int:
    """Where the ${...} or $(...) that starts at `at` ends."""
    opening, closing = text[at + 1], "}" if text[at + 1] == "{" else ")"
    depth = 0
    for place in range(at + 1, len(text)):
        depth += (text[place] == opening) - (text[place] == closing)
        if depth == 0:
            return place + 1
    return len(text)
