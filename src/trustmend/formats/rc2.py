"""RC2 in CBC mode (RFC 2268): OpenSSL 1.x and JDK 8 put certificates into PKCS#12 files under RC2-40.

The cryptography package knows RC2 with 128 bits only, and 40 bits hide nothing: this is coding, not protection. It is
written only into files that have it already, whose readers may know nothing newer.
"""

from __future__ import annotations

import struct
from typing import Final

from trustmend.errors import MalformedError

# RFC 2268 section 2: a permutation of 0..255 from the digits of pi.
_PI: Final = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2179a59f587b34f1361456d8d09817d32"
    "bd8f40eb86b77b0bf09521225c6b4e8254d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626"
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed708e8eade8052eef784aa72ac354d6a2a"
    "961ad2715a1549744b9fd05e0418a4ecc2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731"
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a90d38341bab33ffb0bb480c5fb9b1cd2e"
    "c5f3db47e5a59c770aa62068fe7fc1ad"
)
BLOCK_BYTES: Final = 8
_ROTATIONS: Final = (1, 2, 3, 5)


def decrypt_cbc(key: bytes, bits: int, start: bytes, data: bytes) -> bytes:
    """The plain text, its padding still on.

    Args:
        key: 1 to 128 bytes.
        bits: the effective key length.
        start: the initialisation vector.
        data: whole blocks.

    Raises:
        MalformedError: the lengths do not fit.
    """
    words = _checked(key, bits, start, data)
    result = bytearray()
    before = start
    for at in range(0, len(data), BLOCK_BYTES):
        block = data[at : at + BLOCK_BYTES]
        result += bytes(a ^ b for a, b in zip(_decrypted(words, block), before, strict=True))
        before = block
    return bytes(result)


def encrypt_cbc(key: bytes, bits: int, start: bytes, data: bytes) -> bytes:
    """The opposite of `decrypt_cbc`: `data` has its padding already. Raises MalformedError for the same reasons."""
    words = _checked(key, bits, start, data)
    result = bytearray()
    before = start
    for at in range(0, len(data), BLOCK_BYTES):
        mixed = bytes(a ^ b for a, b in zip(data[at : at + BLOCK_BYTES], before, strict=True))
        before = _encrypted(words, mixed)
        result += before
    return bytes(result)


def _checked(key: bytes, bits: int, start: bytes, data: bytes) -> tuple[int, ...]:
    """The key's words, if all lengths fit. Raises MalformedError."""
    if len(data) % BLOCK_BYTES or len(start) != BLOCK_BYTES or not 1 <= len(key) <= 128:
        raise MalformedError("not a whole number of RC2 blocks")
    return _expanded(key, bits)


def _expanded(key: bytes, bits: int) -> tuple[int, ...]:
    """RFC 2268 section 2: 64 words of 16 bits."""
    size = (bits + 7) // 8
    mask = 0xFF >> (8 * size - bits)
    table = bytearray(key)
    for at in range(len(key), 128):
        table.append(_PI[(table[at - 1] + table[at - len(key)]) & 0xFF])
    table[128 - size] = _PI[table[128 - size] & mask]
    for at in range(127 - size, -1, -1):
        table[at] = _PI[table[at + 1] ^ table[at + size]]
    return struct.unpack("<64H", table)


def _decrypted(words: tuple[int, ...], block: bytes) -> bytes:
    """RFC 2268 section 4: five, six and five rounds, with two of another kind between them."""
    r = list(struct.unpack("<4H", block))
    at = 63
    for number in range(16):
        for i in (3, 2, 1, 0):
            turned = (r[i] >> _ROTATIONS[i] | r[i] << (16 - _ROTATIONS[i])) & 0xFFFF
            mixed = (r[i - 1] & r[i - 2]) + (~r[i - 1] & r[i - 3])
            r[i] = (turned - words[at] - mixed) & 0xFFFF
            at -= 1
        if number in (4, 10):
            for i in (3, 2, 1, 0):
                r[i] = (r[i] - words[r[i - 1] & 63]) & 0xFFFF
    return struct.pack("<4H", *r)


def _encrypted(words: tuple[int, ...], block: bytes) -> bytes:
    """RFC 2268 section 3: the rounds of `_decrypted` from the other end."""
    r = list(struct.unpack("<4H", block))
    at = 0
    for number in range(16):
        for i in range(4):
            mixed = (r[i - 1] & r[i - 2]) + (~r[i - 1] & r[i - 3])
            turned = (r[i] + words[at] + mixed) & 0xFFFF
            r[i] = (turned << _ROTATIONS[i] | turned >> (16 - _ROTATIONS[i])) & 0xFFFF
            at += 1
        if number in (4, 10):
            for i in range(4):
                r[i] = (r[i] + words[r[i - 1] & 63]) & 0xFFFF
    return struct.pack("<4H", *r)
