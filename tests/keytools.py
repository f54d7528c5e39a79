"""The real keytool, many commands in one JVM: its start takes longer than all its work."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jvm
from hosts.machine import Jdk, find_jdks
from keystores import Listed
from shipped import of_pem

SOURCE = """
import java.io.*;
import java.util.Arrays;

/** Runs keytool once for each line of stdin: "name=value name=value" properties and arguments, parted by tabs. */
public class Keytools {
    public static void main(String[] arguments) throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        System.setOut(new PrintStream(System.out, true, "UTF-8"));
        for (String line; (line = lines.readLine()) != null; System.out.println("\\u001e")) {
            String[] words = line.split("\\t");
            for (String one : words[0].split(" ")) {
                String[] pair = (one + "=").split("=", -1);
                if (!one.isEmpty()) System.setProperty(pair[0], pair[1]);
            }
            sun.security.tools.keytool.Main.main(Arrays.copyOfRange(words, 1, words.length));
            for (String one : words[0].split(" ")) System.clearProperty(one.isEmpty() ? "-" : one.split("=")[0]);
        }
    }
}
"""
OPEN_PACKAGE = ["--add-exports", "java.base/sun.security.tools.keytool=ALL-UNNAMED"]
Command = tuple[str, Sequence[str]]
"""System properties ("name=value name", parted by blanks), and keytool's arguments."""


def run(jdk: Jdk, commands: Sequence[Command]) -> list[str]:
    """What each command prints; all must go well. Passwords are arguments here, certificates come from files."""
    done = subprocess.run(
        [
            jdk.java,
            *OPEN_PACKAGE,
            "-XX:TieredStopAtLevel=1",
            "-Duser.language=en",
            "-Dfile.encoding=UTF-8",
            "-cp",
            _compiled(),
            "Keytools",
        ],
        env=jvm.ENVIRON,
        input="".join("\t".join([properties, *words]) + "\n" for properties, words in commands).encode(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = done.stdout.decode()
    assert done.returncode == 0, said + done.stderr.decode()
    answers = said.split("\x1e\n")[:-1]
    assert len(answers) == len(commands), said
    return answers


def opened(path: Path | str, password: str = "changeit", kind: str = "PKCS12") -> list[str]:
    """The options that name a store."""
    return ["-keystore", str(path), "-storetype", kind, "-storepass", password]


def copied(source: Path | str, onto: Path | str, password: str = "changeit", kind: str = "PKCS12") -> list[str]:
    """A whole command: all entries of a store with the password `changeit`, put into another."""
    target = ["-destkeystore", str(onto), "-deststoretype", kind, "-deststorepass", password]
    return ["-importkeystore", "-noprompt", "-srckeystore", str(source), "-srcstorepass", "changeit", *target]


def listed(jdk: Jdk, stores: Sequence[Sequence[str]]) -> list[dict[str, Listed]]:
    """The entries of each store (given as `opened` names it), by alias."""
    return [parsed(said) for said in run(jdk, [("", ["-list", "-rfc", *store]) for store in stores])]


def parsed(said: str) -> dict[str, Listed]:
    """The entries that `keytool -list -rfc` has printed."""
    found = {}
    for part in re.split(r"^Alias name: ", said, flags=re.MULTILINE)[1:]:
        kind = re.search(r"^Entry type: (\w+)", part, re.MULTILINE)
        assert kind
        blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", part, re.DOTALL)
        alias = part.split("\n", 1)[0].strip()
        found[alias] = Listed(alias, kind[1], tuple(of_pem(block.encode()).sha256 for block in blocks))
    return found


@cache
def _compiled() -> str:
    """The folder of the class file, compiled once per process by the oldest compiler, so that every JVM reads it."""
    javac = next(jdk.javac for jdk in find_jdks() if jdk.javac)
    folder = tempfile.mkdtemp(prefix="trustmend-keytools-", dir=os.environ.get("HOME"))
    source = Path(folder) / "Keytools.java"
    source.write_text(SOURCE)
    command = [javac, *OPEN_PACKAGE, "-d", folder, str(source)]
    done = subprocess.run(command, env=jvm.ENVIRON, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return folder
