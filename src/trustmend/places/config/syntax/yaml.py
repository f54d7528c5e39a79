"""YAML, by its events alone: nothing is constructed, no alias is followed, and depth costs no stack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from trustmend.places.config.syntax import Item

MAX_BYTES: Final = 512 * 1024
"""No configuration of this kind that people write is larger."""
MAX_DEPTH: Final = 64


@dataclass
class _Open:
    """A mapping or sequence that is being read: `key` is the mapping's last, `count` the number of its nodes so far."""

    mapping: bool
    path: tuple[str, ...]
    key: str = ""
    count: int = field(default=0)

    @property
    def waits_for_key(self) -> bool:
        return self.mapping and self.count % 2 == 0

    def inner(self) -> tuple[str, ...]:
        """The path of what this node's next value holds."""
        return (*self.path, self.key if self.mapping else str(self.count))


def documents(text: str) -> list[list[Item]]:
    """For each document of a stream every scalar with the keys around it; nothing for a stream that breaks the rules.

    Each of a sequence's scalars is an item with the sequence's key; a mapping in a sequence has its number, from 0, as
    a part of its path. A dotted key stays one key.
    """
    if len(text) > MAX_BYTES:
        return []
    import yaml  # documents that mention a trust store are rare

    if yaml.__with_libyaml__:
        from yaml import CSafeLoader as Loader
    else:
        from yaml import SafeLoader as Loader  # type: ignore[assignment]

    found: list[list[Item]] = []
    stack: list[_Open] = []
    try:
        for event in yaml.parse(text, Loader=Loader):
            if isinstance(event, yaml.DocumentStartEvent):
                found.append([])
                stack = []
            elif isinstance(event, yaml.CollectionStartEvent):
                if len(stack) >= MAX_DEPTH:
                    return []
                if stack and stack[-1].waits_for_key:
                    stack[-1].key = ""  # a key that is a collection itself
                path = stack[-1].inner() if stack else ()
                stack.append(_Open(isinstance(event, yaml.MappingStartEvent), path))
            elif isinstance(event, yaml.CollectionEndEvent):
                stack.pop()
                _counted(stack, "")
            elif isinstance(event, yaml.ScalarEvent):
                if stack and not stack[-1].waits_for_key and (item := _item(stack, event)) is not None:
                    found[-1].append(item)
                _counted(stack, event.value)
            elif isinstance(event, yaml.AliasEvent):
                _counted(stack, "")
    except (yaml.YAMLError, ValueError):  # ValueError: signs that UTF-8 cannot hold
        return []
    return found


def _counted(stack: list[_Open], value: str) -> None:
    """Note that the innermost open node has one more."""
    if stack:
        if stack[-1].waits_for_key:
            stack[-1].key = value
        stack[-1].count += 1


def _item(stack: list[_Open], event: object) -> Item | None:
    names = stack[-1].path if not stack[-1].mapping else stack[-1].inner()
    value = event.value  # type: ignore[attr-defined]
    if not names or not (names[-1] or value):  # the latter may lie behind the end of the text
        return None
    return Item(event.start_mark.line + 1, names[-1], value, names[:-1])  # type: ignore[attr-defined]


def items(text: str) -> Iterator[Item]:
    """The items of all documents."""
    for document in documents(text):
        yield from document


def dotted(item: Item) -> str:
    """The full name of an item, as products write it that take nested and dotted keys alike."""
    return ".".join((*item.path, item.key))
