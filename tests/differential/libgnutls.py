"""Runs below any Python from 3.7 on: path validation by the GnuTLS library, as its clients have it done.

stdin: a JSON list of [store PEM, chain PEM, time in seconds]; stdout: a list of gnutls_certificate_status_t, 0 where
the chain is accepted. Source: lib/cert-session.c, _gnutls_x509_cert_verify_peers: the trust list of the credentials,
and the flags of the priority string, of which NORMAL sets the profile "low".
"""

import ctypes
import json
import os
import sys

DER, PEM = 0, 1
PROFILE_LOW = 2 << 24  # GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_LOW)
USE_IN_TLS_NO_DUPLICATES = 1 << 1 | 1 << 2  # as gnutls_certificate_set_x509_trust_file
LIBRARY = ctypes.CDLL("libgnutls.so.30")
NOW = [0]
CLOCK = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)


class Datum(ctypes.Structure):
    """gnutls_datum_t."""

    _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_uint)]


def clock(where: "int | None") -> int:
    """time(2) of the case at hand."""
    if where:
        ctypes.cast(where, ctypes.POINTER(ctypes.c_long))[0] = NOW[0]
    return NOW[0]


KEPT_CLOCK = CLOCK(clock)


def chain(path: str) -> "tuple[ctypes._Pointer[ctypes.c_void_p], int]":
    """The certificates of a PEM file, as an array."""
    with open(path, "rb") as file:
        content = file.read()
    count = ctypes.c_uint(0)
    found = ctypes.POINTER(ctypes.c_void_p)()
    datum = Datum(content, len(content))
    code = LIBRARY.gnutls_x509_crt_list_import2(ctypes.byref(found), ctypes.byref(count), ctypes.byref(datum), PEM, 0)
    if code < 0:
        raise SystemExit(f"the chain cannot be read: {code}")
    return found, count.value


def verify(store_path: str, chain_path: str, at: int, flags: int) -> int:
    """The status of one validation; -1 where the store cannot be loaded."""
    NOW[0] = at
    trusted = ctypes.c_void_p()
    LIBRARY.gnutls_x509_trust_list_init(ctypes.byref(trusted), 0)
    loaded = LIBRARY.gnutls_x509_trust_list_add_trust_file(
        trusted, os.fsencode(store_path), None, PEM, USE_IN_TLS_NO_DUPLICATES, 0
    )
    if loaded < 0:
        return -1
    sent, count = chain(chain_path)
    status = ctypes.c_uint(0)
    code = LIBRARY.gnutls_x509_trust_list_verify_crt2(
        trusted, sent, count, None, 0, ctypes.c_uint(flags), ctypes.byref(status), None
    )
    for index in range(count):
        LIBRARY.gnutls_x509_crt_deinit(ctypes.c_void_p(sent[index]))
    LIBRARY.gnutls_x509_trust_list_deinit(trusted, 1)
    return status.value if code >= 0 else 1


def main() -> None:
    """Answer all cases."""
    LIBRARY.gnutls_global_set_time_function(KEPT_CLOCK)
    json.dump([verify(store, chain, at, PROFILE_LOW) for store, chain, at in json.load(sys.stdin)], sys.stdout)


main()
