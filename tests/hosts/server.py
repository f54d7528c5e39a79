"""A TLS server on a free port of the loopback: `server.py CHAIN KEY`. Prints the port; ends when stdin ends.

Every request is answered with 200 and a little JSON, and a PostgreSQL client, which begins in plain text, with an error
of that protocol. Every connection has a thread of its own, so a client that hangs stops no other.
"""

import contextlib
import socket
import ssl
import struct
import sys
import threading

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\nConnection: close\r\n\r\n{}\n"
# PostgreSQL, "Message Formats": SSLRequest; ErrorResponse, whose text psql says once it likes the certificate.
SSL_REQUEST = struct.pack(">ii", 8, 80877103)
FIELDS = b"SFATAL\0VFATAL\0C28000\0Mno database here\0\0"
NO_DATABASE = b"E" + struct.pack(">i", 4 + len(FIELDS)) + FIELDS


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
    with contextlib.suppress(OSError), connection:
        database = connection.recv(len(SSL_REQUEST), socket.MSG_PEEK) == SSL_REQUEST
        if database:
            connection.recv(len(SSL_REQUEST))
            connection.sendall(b"S")
        with context.wrap_socket(connection, server_side=True) as tls:
            if tls.recv(4096):
                tls.sendall(NO_DATABASE if database else ANSWER)


main(*sys.argv[1:])
