"""Where a serialized Java object ends: all that a JCEKS store's secret keys are read for, and no object is made.

Source: Java Object Serialization Specification, chapter 6 (the stream protocol's grammar).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from trustmend.errors import MalformedError

_MAGIC: Final = b"\xac\xed\x00\x05"
_NULL, _REFERENCE, _CLASS_DESC, _OBJECT, _STRING, _ARRAY = 0x70, 0x71, 0x72, 0x73, 0x74, 0x75
_BLOCK, _END_BLOCK, _LONG_BLOCK, _LONG_STRING = 0x77, 0x78, 0x7A, 0x7C
_WRITE_METHOD, _SERIALIZABLE = 0x01, 0x02
_SIZES: Final = {"B": 1, "C": 2, "D": 8, "F": 4, "I": 4, "J": 8, "S": 2, "Z": 1}
_FIRST_HANDLE: Final = 0x7E0000
_MAX_DEPTH: Final = 32  # a sealed key needs 6
_MAX_PARTS: Final = 10_000


@dataclass(frozen=True)
class _Class:
    """A class description: its fields' type codes, its flags, and the one above it."""

    name: str
    fields: tuple[str, ...]
    flags: int
    above: _Class | None


@dataclass(slots=True)
class _Stream:
    """A stream and the place in it. Every way of reading raises MalformedError where the stream has another form."""

    data: bytes
    at: int
    handles: list[_Class | None] = field(default_factory=list)  # None: a string, an array or an object
    parts: int = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if size < 0 or end > len(self.data):
            raise MalformedError(f"a serialized object is cut off at byte {self.at}")
        self.at, start = end, self.at
        return self.data[start:end]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big", signed=size > 1)

    def text(self) -> str:
        size = int.from_bytes(self.take(2), "big")
        return self.take(size).decode("utf-8", "replace")

    def content(self, depth: int) -> None:
        """Skip one object, string, array or null."""
        self._count(depth)
        code = self.number(1)
        if code == _OBJECT:
            described = self.class_desc(depth + 1)
            self.handles.append(None)
            self._class_data(described, depth + 1)
        elif code == _ARRAY:
            self._array(depth + 1)
        elif code in (_STRING, _LONG_STRING):
            self.handles.append(None)
            self.take(int.from_bytes(self.take(2 if code == _STRING else 8), "big"))
        elif code == _REFERENCE:
            self._referred()
        elif code != _NULL:
            raise MalformedError(f"unknown part {code:#04x} of a serialized object at byte {self.at - 1}")

    def class_desc(self, depth: int) -> _Class | None:
        """Read a class description, or skip null."""
        self._count(depth)
        code = self.number(1)
        if code == _NULL:
            return None
        if code == _REFERENCE:
            return self._referred()
        if code != _CLASS_DESC:
            raise MalformedError(f"no class description at byte {self.at - 1}")
        name = self.text()
        self.take(8)  # serialVersionUID
        place = len(self.handles)
        self.handles.append(None)
        flags = self.number(1)
        fields = tuple(self._field(depth) for _ in range(int.from_bytes(self.take(2), "big")))
        self._annotation(depth)
        described = _Class(name, fields, flags, self.class_desc(depth + 1))
        self.handles[place] = described
        return described

    def _field(self, depth: int) -> str:
        code = chr(self.number(1))
        self.text()
        if code in "[L":
            self.content(depth + 1)
        elif code not in _SIZES:
            raise MalformedError(f"unknown type of a field at byte {self.at}")
        return code

    def _class_data(self, described: _Class | None, depth: int) -> None:
        line = []
        while described is not None:
            line.append(described)
            described = described.above
        for one in reversed(line):
            if not one.flags & _SERIALIZABLE:
                raise MalformedError(f"class {one.name!r} writes itself in a form that nobody else can read")
            for code in one.fields:
                self._value(code, depth)
            if one.flags & _WRITE_METHOD:
                self._annotation(depth)

    def _value(self, code: str, depth: int) -> None:
        if code in _SIZES:
            self.take(_SIZES[code])
        else:
            self.content(depth + 1)

    def _array(self, depth: int) -> None:
        described = self.class_desc(depth)
        self.handles.append(None)
        code = described.name[1:2] if described else ""
        count = self.number(4)
        if code in _SIZES:
            self.take(count * _SIZES[code])
            return
        for _ in range(count):
            self.content(depth)

    def _annotation(self, depth: int) -> None:
        """Skip blocks and objects up to their end mark."""
        while True:
            self._count(depth)
            code = self.data[self.at : self.at + 1]
            if code == bytes((_END_BLOCK,)):
                self.at += 1
                return
            if code in (bytes((_BLOCK,)), bytes((_LONG_BLOCK,))):
                self.at += 1
                self.take(int.from_bytes(self.take(1 if code[0] == _BLOCK else 4), "big"))
            else:
                self.content(depth + 1)

    def _referred(self) -> _Class | None:
        number = self.number(4) - _FIRST_HANDLE
        if not 0 <= number < len(self.handles):
            raise MalformedError(f"a reference to nothing at byte {self.at - 4}")
        return self.handles[number]

    def _count(self, depth: int) -> None:
        self.parts += 1
        if depth > _MAX_DEPTH or self.parts > _MAX_PARTS:
            raise MalformedError(f"a serialized object of too many parts at byte {self.at}")


def end_of_object(data: bytes, at: int) -> int:
    """The byte after the serialized object (with its stream header) that begins at byte `at`.

    Raises:
        MalformedError: there is none, or it is cut off, or deeper than any key.
    """
    stream = _Stream(data, at)
    if stream.take(4) != _MAGIC:
        raise MalformedError(f"no serialized object at byte {at}")
    stream.content(0)
    return stream.at
