"""Files of simple lines, each tool's own: one setting a line, with that tool's quotes and comments.

Of Yarn's first syntax only what stands beside its key is read; that is how people write paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from trustmend.places.config.syntax import Item, ini

_YARN: Final = re.compile(r"""\s*(?:"(?P<quoted>[^"]*)"|(?P<key>[^\s":,#]+))(?::\s*|\s+)(?P<value>\S.*)\Z""")
_CURL: Final = re.compile(r"""\s*(?P<dash>-*)(?P<key>[^\s=:]+)(?P<rest>.*)\Z""", re.DOTALL)
_CURL_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", "v": "\v"}


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    return enumerate(text.split("\n"), 1)


def _json(text: str) -> Any:  # noqa: ANN401  a value of JSON
    """The value of JSON that a text starts with; None where it starts with none."""
    import json  # rarely needed

    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def npm(text: str) -> Iterator[Item]:
    """The settings of an npmrc: ini with JSON's strings in double quotes; "key[]" is one of several values of "key"."""
    for item in ini.items(text, ini.NPM):
        value: Any = item.value
        if value[:1] == '"' and value[-1:] == '"':
            value = _json(value)
        elif len(value) > 1 and value[0] == value[-1] == "'":
            value = value[1:-1]
        key = item.key.removesuffix("[]").strip("\"'")
        if isinstance(value, str) and not item.path:
            yield Item(item.line, key, value)


def yarn(text: str) -> Iterator[Item]:
    """The settings of Yarn 1: `key value` or `key "value"`."""
    for number, line in _numbered(text):
        found = _YARN.match(line)
        if found is None:
            continue
        written = found["value"].strip()
        value = _json(written) if written.startswith('"') else re.split(r"[\s,:]", written, maxsplit=1)[0]
        if value is not None:
            yield Item(number, found["quoted"] or found["key"] or "", value)


def curl(text: str) -> Iterator[Item]:
    """The options of a curlrc, without their dashes. Source: curl(1), --config; src/tool_parsecfg.c.

    "=" and ":" part name and value only where the name has no dashes.
    """
    for number, line in _numbered(text):
        if line.lstrip()[:1] in ("#", ""):
            continue
        found = _CURL.match(line)
        if found is None:
            continue
        dash, key, rest = found["dash"], found["key"], found["rest"]
        rest = rest.lstrip(" \t\r" if dash else " \t\r=:")
        if dash and rest[:1] in ("=", ":"):
            continue  # a name that curl does not know
        yield Item(number, key, _curl_value(rest))


def _curl_value(rest: str) -> str:
    if not rest.startswith('"'):
        return re.split(r"\s", rest, maxsplit=1)[0]
    value, signs = [], iter(rest[1:])
    for sign in signs:
        if sign == '"':
            break
        if sign == "\\":
            escaped = next(signs, "")
            value.append(_CURL_ESCAPES.get(escaped, escaped))
        else:
            value.append(sign)
    return "".join(value)


def wget(text: str) -> Iterator[Item]:
    """The commands of a wgetrc, in small letters and without "-" and "_"."""
    for number, line in _numbered(text):
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            yield Item(number, re.sub("[-_]", "", key).strip().lower(), value.strip())


def ldap(text: str) -> Iterator[Item]:
    """The options of an ldap.conf in capitals. Source: ldap.conf(5); libldap's init.c, openldap_ldap_init_w_conf."""
    for number, line in _numbered(text):
        words = line.split(None, 1)
        if len(words) == 2 and not line.startswith("#"):
            yield Item(number, words[0].upper(), words[1].rstrip())


def json_texts(text: str) -> Iterator[Item]:
    """Every text in the objects of a JSON document; none for a broken one. The line is that of the key's last place."""
    document = _json(text.strip())
    found = {match[1]: number for number, line in _numbered(text) for match in re.finditer(r'"(\w+)"\s*:', line)}
    stack: list[tuple[tuple[str, ...], Any]] = [((), document)]
    while stack:
        path, value = stack.pop()
        for key, inner in value.items() if isinstance(value, dict) else ():
            if isinstance(inner, str):
                yield Item(found.get(key, 1), key, inner, path)
            else:
                stack.append(((*path, key), inner))
