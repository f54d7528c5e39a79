"""Runs below any Python from 3.7 on: path validation by OpenSSL's own library, as `openssl verify` calls it.

usage: libcrypto.py LIBRARY.  stdin: a JSON object of "rules", {name: [X509_V_FLAG bits, security level]}, and "cases",
[[store PEM, chain PEM, time in seconds], ...]. stdout: for each name a list with an X509_V_ERR number (0: accepted)
for each case. Sources: apps/verify.c, crypto/x509/x509_vfy.c.
"""

import ctypes
import json
import os
import sys

PURPOSE = b"ssl_server"  # what a TLS client's context asks for: purpose and trust


class LibCrypto:
    """The functions that are needed."""

    def __init__(self, path: str) -> None:
        self.library = ctypes.CDLL(path)
        self.files: dict[str, list[int]] = {}

    def call(self, name: str, *arguments: object) -> int:
        """A function that gives a pointer; 0 is NULL. Numbers among the arguments are pointers."""
        function = getattr(self.library, name)
        function.restype = ctypes.c_void_p
        kept = [ctypes.c_void_p(a) if isinstance(a, int) else a for a in arguments]
        return int(function(*kept) or 0)

    def number(self, name: str, *arguments: object) -> int:
        """A function that gives an int."""
        function = getattr(self.library, name)
        function.restype = ctypes.c_int
        return int(function(*[ctypes.c_void_p(a) if isinstance(a, int) else a for a in arguments]))

    def chain(self, path: str) -> "list[int]":
        """The certificates of a PEM file, as a list of X509 pointers; each file is read once."""
        if path not in self.files:
            found = []
            bio = self.call("BIO_new_file", os.fsencode(path), b"r")
            while True:
                one = self.call("PEM_read_bio_X509", bio, 0, 0, 0)
                if not one:
                    break
                found.append(one)
            self.call("ERR_clear_error")
            self.call("BIO_free", bio)
            self.files[path] = found
        return self.files[path]

    def judge(self, store_path: str, chain_path: str, at: int, rules: "list[list[int]]") -> "list[int]":
        """For each rule the error of the validation; 0 where it is accepted, -1 where the store cannot be loaded."""
        store = self.call("X509_STORE_new")
        if self.number("X509_STORE_load_locations", store, os.fsencode(store_path), None) != 1:
            self.call("ERR_clear_error")
            answers = [-1 for _ in rules]
        else:
            answers = [self.verify(store, chain_path, at, flags, level) for flags, level in rules]
        self.call("X509_STORE_free", store)
        return answers

    def verify(self, store: int, chain_path: str, at: int, flags: int, level: int) -> int:
        """The error of one validation."""
        leaf, *others = self.chain(chain_path)
        sent = self.call("OPENSSL_sk_new_null")
        for one in [leaf, *others]:  # libssl hands over all that was sent, the leaf with it
            self.number("OPENSSL_sk_push", sent, one)
        context = self.call("X509_STORE_CTX_new")
        self.number("X509_STORE_CTX_init", context, store, leaf, sent)
        self.number("X509_STORE_CTX_set_default", context, PURPOSE)
        parameters = self.call("X509_STORE_CTX_get0_param", context)
        self.library.X509_VERIFY_PARAM_set_flags(ctypes.c_void_p(parameters), ctypes.c_ulong(flags))
        self.library.X509_VERIFY_PARAM_set_auth_level(ctypes.c_void_p(parameters), ctypes.c_int(level))
        self.library.X509_VERIFY_PARAM_set_time(ctypes.c_void_p(parameters), ctypes.c_int64(at))
        accepted = self.number("X509_verify_cert", context) == 1
        error = self.number("X509_STORE_CTX_get_error", context)
        self.call("X509_STORE_CTX_free", context)
        self.call("OPENSSL_sk_free", sent)
        self.call("ERR_clear_error")
        return 0 if accepted else error or 1


def main() -> None:
    """Answer all cases."""
    asked = json.load(sys.stdin)
    library = LibCrypto(sys.argv[1])
    rules = list(asked["rules"].values())
    rows = [library.judge(store, chain, at, rules) for store, chain, at in asked["cases"]]
    json.dump({name: [row[index] for row in rows] for index, name in enumerate(asked["rules"])}, sys.stdout)


main()
