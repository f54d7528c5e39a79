"""Small ELF files, and the constants that programs keep their roots in."""

from __future__ import annotations

import struct
from functools import cache

import certificates
from certificates import Made
from trustmend.places.image import MIN_ROOTS

CONFIG = b'\0{ "target_defaults": {"cflags": [], "defines": [%s], "libraries": []},\n  "variables": {} }\0'


def elf(sections: dict[str, bytes], *, wide: bool = True, big: bool = False) -> bytes:
    """An ELF file of these sections, 64 or 32 bits, little- or big-endian (elf(5))."""
    order = ">" if big else "<"
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (*sections, ".shstrtab"))
    head_size, entry_size = (64, 64) if wide else (52, 40)
    at, rows, body = head_size, [bytes(entry_size)], b""
    for name, content in [*sections.items(), (".shstrtab", names)]:
        form = order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII")
        row = (names.index(b"\0" + name.encode() + b"\0") + 1, 1, 0, 0, at + len(body), len(content), 0, 0, 1, 0)
        rows.append(struct.pack(form, *row))
        body += content
    word = "Q" if wide else "I"
    head = b"\x7fELF" + bytes((2 if wide else 1, 2 if big else 1, 1)) + bytes(9)
    head += struct.pack(order + "HHI" + word * 3 + "IHHHHHH", 3, 62, 1, 0, 0, at + len(body), 0,
                        head_size, 0, 0, entry_size, len(rows), len(rows) - 1)  # fmt: skip
    return head + body + b"".join(rows)


@cache
def roots(number: int = MIN_ROOTS) -> tuple[Made, ...]:
    """So many roots."""
    return tuple(certificates.root(f"Root {n}", kind="rsa" if n < 2 else "ec") for n in range(number))


def node(made: tuple[Made, ...], *defines: str) -> bytes:
    """A program that looks like Node with these roots."""
    text = b"\0".join(one.pem for one in made)
    config = CONFIG % ", ".join(f'"{define}"' for define in defines).encode()
    release = b"https://nodejs.org/download/release/v22.1.0/node-v22.1.0.tar.gz\0"
    return elf({".text": bytes(2 << 20), ".rodata": release + text + config})


def anchors(made: tuple[Made, ...]) -> bytes:
    """The subjects and keys as Rust's webpki-roots keeps them: without the heads of their SEQUENCEs."""

    def inside(encoded: bytes) -> bytes:
        return encoded[2:] if encoded[1] < 0x80 else encoded[2 + (encoded[1] & 0x7F) :]

    return b"".join(inside(one.certificate.subject) + inside(one.certificate.spki) for one in made)
