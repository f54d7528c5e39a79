"""Runs below any Python from 3.7 on: TLS handshakes in memory, each with one trust store, no socket used.

stdin: a JSON list of {"store": path, "folder": bool, "chain": PEM path, "key": PEM path}; stdout: for each null where
the client accepted the server for `localhost`, else the error's text. The client's context is the interpreter's
default one, `ssl.create_default_context`, with the store in place of the system's.
"""

import json
import ssl
import sys


def main() -> None:
    """Answer all requests."""
    json.dump([ask(**one) for one in json.load(sys.stdin)], sys.stdout)


def ask(store: str, folder: bool, chain: str, key: str) -> "str | None":
    """None or the error of one handshake."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers("DEFAULT:@SECLEVEL=0")  # it sends what it is given; the client is the one to refuse
    server.load_cert_chain(chain, key)
    try:
        client = ssl.create_default_context(cafile=None if folder else store, capath=store if folder else None)
        shake(client, server)
    except (ssl.SSLError, OSError) as problem:
        return str(problem) or type(problem).__name__
    return None


def shake(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Hand the bytes from side to side until the client is content or raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        done = step(asking)
        if done:
            return
        step(answering)
    raise OSError("the handshake does not end")


def step(side: ssl.SSLObject) -> bool:
    """Whether this side has finished."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


main()
