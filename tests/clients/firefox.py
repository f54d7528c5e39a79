"""Asks Firefox for one address by its remote control: `firefox.py PROFILE URL`. Ends with 0 or, refused, with 60.

Without it nothing says what Firefox makes of a certificate: at its page that says no it waits for ever. Source:
Firefox Source Docs, "Marionette", "Protocol": LENGTH:JSON, and [0, id, command, parameters].
"""

import json
import socket
import subprocess
import sys
import time
from typing import Any

PORT = 2828  # Marionette's, of the session's own loopback


def main(profile: str, url: str) -> int:
    """The exit code."""
    argv = ["firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", profile]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as firefox:
        try:
            with connected(firefox) as connection:
                read(connection)
                call(connection, "WebDriver:NewSession", {})
                problem = call(connection, "WebDriver:Navigate", {"url": url})
        finally:
            firefox.kill()
    if problem is None:
        return 0
    sys.stderr.write(f"{problem['error']}: {problem['message']}\n")
    return 60 if problem["error"] == "insecure certificate" else 1


def connected(firefox: "subprocess.Popen[bytes]") -> socket.socket:
    """As soon as it listens."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", PORT), 60)
        except ConnectionRefusedError:
            if firefox.poll() is not None:
                raise
            time.sleep(0.05)


def call(connection: socket.socket, command: str, parameters: dict[str, str]) -> "dict[str, str] | None":
    """The error that it answers with, if it does."""
    words = json.dumps([0, 1, command, parameters]).encode()
    connection.sendall(b"%d:%b" % (len(words), words))
    problem: dict[str, str] | None = read(connection)[2]
    return problem


def read(connection: socket.socket) -> Any:  # noqa: ANN401 # JSON
    """The next message."""
    length = b""
    while not length.endswith(b":"):
        length += connection.recv(1) or b"no message:"
    return json.loads(connection.recv(int(length[:-1]), socket.MSG_WAITALL))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
