"""A TLS server on a free port of the loopback: `server.py CHAIN KEY`. Prints the port; ends when stdin ends.

Every request is answered with 204, every connection by a thread of its own, so a client that hangs stops no other.
"""

import contextlib
import socket
import ssl
import sys
import threading

ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


def main(chain: str, key: str) -> None:
    """Serve until stdin ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener, context), daemon=True).start()
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        sys.stdin.read()


def serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Accept for ever."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, context), daemon=True).start()


def answer(connection: socket.socket, context: ssl.SSLContext) -> None:
    """One connection; a client that does not like the certificate hangs up."""
    connection.settimeout(60)
    with contextlib.suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as tls:
        if tls.recv(4096):
            tls.sendall(ANSWER)


main(*sys.argv[1:])
