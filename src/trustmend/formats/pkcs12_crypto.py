"""What a password opens in a PKCS#12 file: its integrity check, and the parts that it encrypts; and both made anew.

Ciphers and digests are the cryptography package's and the standard library's; here are only the derivation of
RFC 7292 appendix B and the algorithms' parameters (RFC 7292 appendix C, RFC 8018 for PBES2, RFC 9579 for PBMAC1).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from trustmend import der
from trustmend.der import Tlv
from trustmend.errors import MalformedError
from trustmend.formats import rc2

T = TypeVar("T")
MAX_ITERATIONS: Final = 1_000_000
"""A file that asks for more is not worked on, which would take minutes. Writers ask for 1 to 600,000; JVMs give up at
5,000,000 (sun.security.pkcs12.PKCS12KeyStore, MAX_ITERATION_COUNT)."""
_DIGESTS: Final = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "2.16.840.1.101.3.4.2.5": "sha512-224",
    "2.16.840.1.101.3.4.2.6": "sha512-256",
}
_HMACS: Final = {
    "1.2.840.113549.2.7": "sha1",
    "1.2.840.113549.2.8": "sha224",
    "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
}
_BLOCK_BYTES: Final = {"sha1": 64, "sha224": 64, "sha256": 64}  # of the others 128
_PBES2: Final = "1.2.840.113549.1.5.13"
_PBKDF2: Final = "1.2.840.113549.1.5.12"
_PBMAC1: Final = "1.2.840.113549.1.5.14"
_PKCS12_PBE: Final = "1.2.840.113549.1.12.1."
_STREAMS: Final = ("1", "2")  # of these the two that need no padding: RC4
_AES_192: Final = "2.16.840.1.101.3.4.1.22"
_KEY_BYTES: Final = {
    "2.16.840.1.101.3.4.1.2": 16,  # AES-128-CBC
    _AES_192: 24,
    "2.16.840.1.101.3.4.1.42": 32,
    "1.2.840.113549.3.7": 24,  # DES-EDE3-CBC
}
_DES_EDE3: Final = "1.2.840.113549.3.7"
_FOR_KEY, _FOR_VECTOR, _FOR_MAC = 1, 2, 3  # RFC 7292 appendix B.3
_MIN_SALT_BYTES: Final = 8  # RFC 8018 section 4.1; JVMs refuse less for encryption
_EMPTY_SALT: Final = der.element(der.OCTET_STRING, bytes(20))
OLD_SCHEME: Final = der.element(  # 3DES, 50,000 rounds
    der.SEQUENCE, der.oid(f"{_PKCS12_PBE}3"), der.element(der.SEQUENCE, _EMPTY_SALT, bytes.fromhex("020300c350"))
)
"""An AlgorithmIdentifier for `encrypted` that every program knows, as a JVM's under -Dkeystore.pkcs12.legacy."""
USUAL_SCHEME: Final = der.element(  # PBKDF2 with HMAC-SHA-256 and 10,000 rounds, AES-256-CBC
    der.SEQUENCE,
    der.oid(_PBES2),
    der.element(
        der.SEQUENCE,
        der.element(
            der.SEQUENCE,
            der.oid(_PBKDF2),
            der.element(
                der.SEQUENCE,
                _EMPTY_SALT,
                bytes.fromhex("02022710"),
                der.element(der.SEQUENCE, der.oid("1.2.840.113549.2.9"), b"\x05\x00"),
            ),
        ),
        der.element(der.SEQUENCE, der.oid("2.16.840.1.101.3.4.1.42"), der.element(der.OCTET_STRING, bytes(16))),
    ),
)
"""The one that JVMs take unless told otherwise (since JDK 16; JDK 8u301 and 11.0.12 read it)."""


@dataclass(frozen=True)
class Password:
    """A password in the two forms that PKCS#12 wants."""

    utf8: bytes  # PBES2 and PBMAC1
    bmp: bytes  # RFC 7292 appendix B.1: UTF-16BE with a zero at its end

    @staticmethod
    def of(text: str) -> Password:
        """The usual form of a password."""
        return Password(text.encode("utf-8", "surrogatepass"), (text + "\0").encode("utf-16-be", "surrogatepass"))


ABSENT: Final = Password(b"", b"")
"""The other form of an empty password, which some writers use."""


class UnknownAlgorithmError(MalformedError):
    """An algorithm that is not known here, so that no password can be tried."""


def mac_fits(mac: Tlv, content: bytes, password: Password) -> bool:
    """Whether the file's MacData (RFC 7292 section 4) is that of its content under the password.

    Raises:
        UnknownAlgorithmError: its algorithm is not known here.
        MalformedError: it has another form, or asks for too many iterations.
    """
    parts = mac.listed(der.SEQUENCE)
    if len(parts) < 2:
        raise MalformedError("an integrity check of too few parts")
    algorithm, expected = _pair(parts[0])
    identifier = algorithm.first().oid()
    if identifier == _PBMAC1:
        return _pbmac1_fits(algorithm, expected.expect(der.OCTET_STRING).content, content, password)
    digest = _known(_DIGESTS, identifier)
    salt = parts[1].expect(der.OCTET_STRING).content
    iterations = _iterations(parts[2]) if len(parts) > 2 else 1
    key = derived(password.bmp, salt, iterations, _FOR_MAC, hashlib.new(digest).digest_size, digest)
    return hmac.compare_digest(hmac.digest(key, content, digest), expected.expect(der.OCTET_STRING).content)


def is_pbmac1(mac: Tlv) -> bool:
    """Whether the integrity check is of the newer form (RFC 9579). Raises MalformedError."""
    return _pair(mac.first())[0].first().oid() == _PBMAC1


def _pbmac1_fits(algorithm: Tlv, expected: bytes, content: bytes, password: Password) -> bool:
    derivation, scheme = _pair(_pair(algorithm)[1])
    digest = _known(_HMACS, scheme.first().oid())
    key = _pbkdf2(derivation, password, hashlib.new(digest).digest_size)
    return hmac.compare_digest(hmac.digest(key, content, digest), expected)


def decrypted(algorithm: Tlv, data: bytes, password: Password) -> bytes:
    """The plain text of an encrypted part.

    Args:
        algorithm: its AlgorithmIdentifier.
        data: the encrypted octets.
        password: to try.

    Raises:
        UnknownAlgorithmError: the algorithm is not known here.
        MalformedError: the password does not fit, or the parameters have another form.
    """
    identifier = algorithm.first().oid()
    if identifier == _PBES2:
        derivation, scheme = _pair(_pair(algorithm)[1])
        cipher, parameters = _pair(scheme)
        key = _pbkdf2(derivation, password, _known(_KEY_BYTES, cipher.oid()))
        return _unpadded(_cbc(cipher.oid(), key, parameters.expect(der.OCTET_STRING).content, data))
    if not identifier.startswith(_PKCS12_PBE):
        raise UnknownAlgorithmError(f"the unknown encryption {identifier}")
    salt, count = _pair(_pair(algorithm)[1])
    kind = identifier.removeprefix(_PKCS12_PBE)
    text = _pkcs12_pbe(kind, salt.content, _iterations(count), data, password)
    return text if kind in _STREAMS else _unpadded(text)


def encrypted(algorithm: Tlv, text: bytes, password: Password) -> tuple[bytes, bytes]:
    """(AlgorithmIdentifier as encoded, encrypted octets) of `text`, with a new random salt and initialisation vector.

    Args:
        algorithm: the AlgorithmIdentifier of a part that `decrypted` opens: the scheme and number of rounds to use,
            and the salt's length where that is no shorter than 8 bytes.
        text: to be encrypted.
        password: the file's.

    Raises:
        UnknownAlgorithmError: the algorithm is not known here.
        MalformedError: its parameters have another form.
    """
    name, parameters = _pair(algorithm)
    identifier = name.oid()
    if identifier == _PBES2:
        return _pbes2_encrypted(parameters, text, password)
    if not identifier.startswith(_PKCS12_PBE):
        raise UnknownAlgorithmError(f"the unknown encryption {identifier}")
    old, count = _pair(parameters)
    kind, salt = identifier.removeprefix(_PKCS12_PBE), _fresh_salt(old)
    padded = text if kind in _STREAMS else _padded(text, rc2.BLOCK_BYTES)
    octets = _pkcs12_pbe(kind, salt, _iterations(count), padded, password, hide=True)
    renewed = der.element(der.SEQUENCE, der.element(der.OCTET_STRING, salt), count.raw)
    return der.element(der.SEQUENCE, name.raw, renewed), octets


def _pbes2_encrypted(parameters: Tlv, text: bytes, password: Password) -> tuple[bytes, bytes]:
    """As `encrypted`, by RFC 8018 section 6.2."""
    derivation, scheme = _pair(parameters)
    cipher = scheme.first()
    size = _known(_KEY_BYTES, cipher.oid())
    block = 8 if cipher.oid() == _DES_EDE3 else 16
    renewed, vector = _renewed_derivation(derivation), _random(block)
    key = _pbkdf2(der.whole(renewed), password, size)
    octets = _cbc(cipher.oid(), key, vector, _padded(text, block), hide=True)
    by = der.element(der.SEQUENCE, cipher.raw, der.element(der.OCTET_STRING, vector))
    return der.element(der.SEQUENCE, der.oid(_PBES2), der.element(der.SEQUENCE, renewed, by)), octets


def renewed_mac(mac: Tlv, content: bytes, password: Password) -> bytes:
    """The MacData as encoded of other content: by the same algorithm and number of rounds, with a new random salt.

    Args:
        mac: the file's MacData, which `mac_fits` knows.
        content: the new AuthenticatedSafe.
        password: the file's.

    Raises:
        UnknownAlgorithmError: its algorithm is not known here.
        MalformedError: it has another form, or asks for too many iterations.
    """
    parts = mac.listed(der.SEQUENCE)
    if len(parts) < 2:
        raise MalformedError("an integrity check of too few parts")
    algorithm, _ = _pair(parts[0])
    name = algorithm.first()
    if name.oid() == _PBMAC1:
        # RFC 9579 section 4: salt and rounds stand in the algorithm, and those of MacData mean nothing.
        derivation, scheme = _pair(_pair(algorithm)[1])
        renewed = der.element(der.SEQUENCE, _renewed_derivation(derivation), scheme.raw)
        digest = _known(_HMACS, scheme.first().oid())
        key = _pbkdf2(der.whole(renewed).first(), password, hashlib.new(digest).digest_size)
        described, rest = der.element(der.SEQUENCE, name.raw, renewed), [part.raw for part in parts[1:]]
    else:
        digest = _known(_DIGESTS, name.oid())
        salt = _fresh_salt(parts[1])
        iterations = _iterations(parts[2]) if len(parts) > 2 else 1
        key = derived(password.bmp, salt, iterations, _FOR_MAC, hashlib.new(digest).digest_size, digest)
        described, rest = algorithm.raw, [der.element(der.OCTET_STRING, salt), *(part.raw for part in parts[2:])]
    value = der.element(der.OCTET_STRING, hmac.digest(key, content, digest))
    return der.element(der.SEQUENCE, der.element(der.SEQUENCE, described, value), *rest)


def mac_digest(mac: Tlv) -> str:
    """The name of the digest that the integrity check is made with ("sha1"). Raises MalformedError."""
    algorithm = _pair(mac.first())[0]
    if algorithm.first().oid() == _PBMAC1:
        return _known(_HMACS, _pair(_pair(algorithm)[1])[1].first().oid())
    return _known(_DIGESTS, algorithm.first().oid())


def _renewed_derivation(derivation: Tlv) -> bytes:
    """The same key derivation with another salt (RFC 8018 appendix A.2). Raises MalformedError."""
    name, parameters = _pair(derivation)
    salt, _ = _pair(parameters)
    fresh = der.element(der.OCTET_STRING, _fresh_salt(salt))
    rest = parameters.data[salt.end : parameters.end]
    return der.element(der.SEQUENCE, name.raw, der.element(der.SEQUENCE, fresh, rest))


def _fresh_salt(old: Tlv) -> bytes:
    """Random bytes, as many as the old salt has, and no fewer than are safe. Raises MalformedError."""
    return _random(max(_MIN_SALT_BYTES, len(old.expect(der.OCTET_STRING).content)))


def _random(size: int) -> bytes:
    import secrets  # only writers need it

    return secrets.token_bytes(size)


def _pkcs12_pbe(
    kind: str, salt: bytes, iterations: int, data: bytes, password: Password, *, hide: bool = False
) -> bytes:
    """RFC 7292 appendix C, keys by SHA-1: RC4 with 128 or 40 bits (1, 2), 3DES with three or two keys, RC2 as RC4.

    `hide` encrypts, and without it this decrypts.
    """
    by_rc2 = rc2.encrypt_cbc if hide else rc2.decrypt_cbc

    def make(purpose: int, size: int) -> bytes:
        return derived(password.bmp, salt, iterations, purpose, size, "sha1")

    match kind:
        case "1" | "2":
            return _rc4(make(_FOR_KEY, 16 if kind == "1" else 5), data)
        case "3":
            return _cbc(_DES_EDE3, make(_FOR_KEY, 24), make(_FOR_VECTOR, 8), data, hide=hide)
        case "4":
            two = make(_FOR_KEY, 16)
            return _cbc(_DES_EDE3, two + two[:8], make(_FOR_VECTOR, 8), data, hide=hide)
        case "5":
            return by_rc2(make(_FOR_KEY, 16), 128, make(_FOR_VECTOR, 8), data)
        case "6":
            return by_rc2(make(_FOR_KEY, 5), 40, make(_FOR_VECTOR, 8), data)
        case _:
            raise UnknownAlgorithmError(f"the unknown encryption {_PKCS12_PBE}{kind}")


def derived(password: bytes, salt: bytes, iterations: int, purpose: int, size: int, digest: str) -> bytes:
    """RFC 7292 appendix B.2: `size` bytes for a purpose (1 key, 2 initialisation vector, 3 MAC key)."""
    block = _BLOCK_BYTES.get(digest, 128)
    start = bytes((purpose,)) * block
    state = _filled(salt, block) + _filled(password, block)
    result = b""
    turn = partial(hashlib.new, digest) if "-" in digest else getattr(hashlib, digest)
    while True:
        part = turn(start + state).digest()
        for _ in range(iterations - 1):
            part = turn(part).digest()
        result += part
        if len(result) >= size:
            return result[:size]
        added = int.from_bytes(_filled(part, block)[:block], "big") + 1
        pieces = (int.from_bytes(state[at : at + block], "big") + added for at in range(0, len(state), block))
        state = b"".join((piece % (1 << 8 * block)).to_bytes(block, "big") for piece in pieces)


def _filled(text: bytes, block: int) -> bytes:
    """`text` repeated to the next whole number of blocks; nothing stays nothing."""
    size = -(-len(text) // block) * block
    return (text * (size // len(text) + 1))[:size] if text else b""


def _pbkdf2(derivation: Tlv, password: Password, size: int) -> bytes:
    """RFC 8018 appendix A.2."""
    identifier, parameters = _pair(derivation)
    if identifier.oid() != _PBKDF2:
        raise UnknownAlgorithmError(f"the unknown key derivation {identifier.oid()}")
    parts = parameters.listed(der.SEQUENCE)
    if len(parts) < 2:
        raise MalformedError("a key derivation of too few parts")
    salt, iterations = parts[0].expect(der.OCTET_STRING).content, _iterations(parts[1])
    function = next((part for part in parts[2:] if part.tag == der.SEQUENCE), None)
    digest = "sha1" if function is None else _known(_HMACS, function.first().oid())
    return hashlib.pbkdf2_hmac(digest, password.utf8, salt, iterations, size)


def known_to_jvms(algorithm: Tlv) -> bool:
    """Whether JVMs can decrypt what is encrypted so: of PBES2 only AES-128 and AES-256, and no 3DES with two keys.

    Source: com.sun.crypto.provider.PBES2Parameters; seen with JDK 17 and 25. Raises MalformedError.
    """
    identifier = algorithm.first().oid()
    if identifier == _PBES2:
        return _pair(_pair(_pair(algorithm)[1])[1])[0].oid() not in (_DES_EDE3, _AES_192)
    return identifier != f"{_PKCS12_PBE}4"


def _rc4(key: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
    from cryptography.hazmat.primitives.ciphers import Cipher

    return Cipher(ARC4(key), mode=None).decryptor().update(data)


def _cbc(cipher: str, key: bytes, vector: bytes, data: bytes, *, hide: bool = False) -> bytes:
    """Whole blocks decrypted, or (`hide`) encrypted. Raises MalformedError."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    if cipher == _DES_EDE3:
        from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES

    try:
        chosen = Cipher(TripleDES(key) if cipher == _DES_EDE3 else AES(key), CBC(vector))
        turned = chosen.encryptor() if hide else chosen.decryptor()
        return turned.update(data) + turned.finalize()
    except ValueError as problem:
        raise MalformedError(f"an encrypted part of a wrong length: {problem}") from problem


def _unpadded(text: bytes) -> bytes:
    """RFC 5652 section 6.3. Raises MalformedError: the sign of a wrong password."""
    size = text[-1] if text else 0
    if not 1 <= size <= 16 or text[-size:] != bytes((size,)) * size:
        raise MalformedError("the password does not fit")
    return text[:-size]


def _padded(text: bytes, block: int) -> bytes:
    """RFC 5652 section 6.3."""
    size = block - len(text) % block
    return text + bytes((size,)) * size


def _iterations(number: Tlv) -> int:
    count = number.integer()
    if not 1 <= count <= MAX_ITERATIONS:
        raise UnknownAlgorithmError(f"{count} rounds of key derivation, more than the {MAX_ITERATIONS} that are tried")
    return count


def _pair(element: Tlv) -> tuple[Tlv, Tlv]:
    """The first two parts of a SEQUENCE. Raises MalformedError."""
    parts = element.listed(der.SEQUENCE)
    if len(parts) < 2:
        raise MalformedError(f"too few parts at byte {element.start}")
    return parts[0], parts[1]


def _known(table: Mapping[str, T], identifier: str) -> T:
    """The table's row for an OID. Raises UnknownAlgorithmError."""
    if identifier not in table:
        raise UnknownAlgorithmError(f"the unknown algorithm {identifier}")
    return table[identifier]
