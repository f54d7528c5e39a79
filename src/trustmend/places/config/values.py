"""What a setting's value means: a path, certificates, or nothing that can be known from the file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Final

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_PLACEHOLDER: Final = re.compile(r"\$\{([^${}:]+)(?::([^${}]*))?\}")
_BLOCK: Final = re.compile(r"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----(.*?)-----END", re.DOTALL)


def placed(value: str, base: str | None = None) -> str | None:
    """The absolute path that a value names: it starts from `base` where it is relative.

    None for an empty value, for one with a part that only the running program knows, for an URL other than file:, and
    for a relative one without a base.
    """
    value = value.strip()
    if value.startswith("file:"):
        value = value[5:]
        value = "/" + value.lstrip("/") if value.startswith("//") else value
    elif _SCHEME.match(value):
        return None
    if not value or any(sign in value for sign in ("\0", "${", "#{", "\n")):
        return None
    if not value.startswith("/"):
        if base is None:
            return None
        value = f"{base}/{value}"
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # an escape of half a sign: no path has it
        return None
    return posixpath.normpath(value)


def expanded(value: str, known: Mapping[str, str]) -> str:
    """`value` with ${NAME} replaced by what is known, and ${NAME:default} by the default; others stay."""
    if "${" not in value:
        return value

    def replacement(found: re.Match[str]) -> str:
        return known.get(found[1], found[2] if found[2] is not None else found[0])

    for _ in range(3):  # a value may name another
        value = _PLACEHOLDER.sub(replacement, value)[:4096]
    return value


def secret(value: str | None) -> str | None:
    """A password as it stands there; None for a reference to somewhere else."""
    return None if value is None or "${" in value or value.startswith(("OBF:", "MASK-", "ENC(", "{cipher}")) else value


def certificates(value: str) -> bytes | None:
    """The certificates that stand in a value itself, as PEM with lines; None where there is none."""
    if "-----BEGIN" not in value:
        return None
    blocks = []
    for found in _BLOCK.finditer(value):
        body = re.sub(r"\s+", "", found[1]).replace("\\n", "")
        lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
        blocks.append(f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
    return "".join(blocks).encode("ascii", "replace") or None
