"""XML, with the lines of its elements. Nothing outside the document is ever opened, and no entity is taken from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MAX_DEPTH: Final = 64
"""No configuration nests deeper; a document that does is not read."""


@dataclass
class Element:
    """One element: its name without the namespace's prefix, its attributes and its text. `path` holds the names of
    the elements around it, outermost first; `parent` is the innermost of these."""

    line: int  # 1-based
    name: str
    attributes: dict[str, str] = field(repr=False)  # some are secrets
    path: tuple[str, ...]
    parent: Element | None = field(repr=False)
    text: str = field(default="", repr=False)
    children: list[Element] = field(default_factory=list, repr=False)

    def first(self, *names: str) -> Element | None:
        """The first descendant by a path of names."""
        found: Element | None = self
        for name in names:
            found = next((one for one in found.children if one.name == name), None) if found is not None else None
        return found


class _RefusedError(Exception):
    """The document declares entities or nests too deep."""


def elements(text: str) -> list[Element]:
    """All elements of a document, in their order; none for one that is not well-formed or that declares entities.

    Args:
        text: the file's bytes, decoded by UTF-8 with surrogates for what is none: the declared encoding counts.
    """
    from xml.parsers import expat  # documents that mention a trust store are rare

    found: list[Element] = []
    stack: list[Element] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) >= MAX_DEPTH:
            raise _RefusedError
        parent = stack[-1] if stack else None
        path = (*parent.path, parent.name) if parent is not None else ()
        element = Element(parser.CurrentLineNumber, name.rpartition(":")[2], attributes, path, parent)
        if parent is not None:
            parent.children.append(element)
        stack.append(element)
        found.append(element)

    def end(_: str) -> None:
        stack.pop()

    def characters(data: str) -> None:
        if stack:
            stack[-1].text += data

    def refuse(*_: object) -> None:
        raise _RefusedError

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text.encode("utf-8", "surrogateescape"), True)
    except (expat.ExpatError, _RefusedError, ValueError, LookupError):
        return []
    return found
