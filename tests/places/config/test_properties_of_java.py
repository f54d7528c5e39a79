"""Properties files as java.util.Properties itself reads them."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from trustmend.places.config.syntax import properties

JAVA = """\
import java.io.*;
import java.nio.file.*;
import java.util.*;

public class Load {
    public static void main(String[] args) throws Exception {
        for (String text : Files.readString(Path.of(args[0])).split("\\u0001", -1)) {
            Properties loaded = new Properties();
            try {
                loaded.load(new StringReader(text));
            } catch (IllegalArgumentException malformed) {
                System.out.println("malformed");
                continue;
            }
            StringBuilder line = new StringBuilder();
            for (String key : new TreeSet<>(loaded.stringPropertyNames()))
                for (String one : key.isEmpty() ? new String[0] : new String[] {key, loaded.getProperty(key)}) {
                    for (char sign : one.toCharArray()) line.append(String.format("%04x", (int) sign));
                    line.append(',');
                }
            System.out.println(line);
        }
    }
}
"""
SIGNS = [*"ab=: \t\f\\\\\\#!\n\n\r.x", "\r\n", "\\u0041", "\\n", "\\t", "é"]


@pytest.mark.slow
@pytest.mark.needs("javac")
def test_any_text_is_read_as_java_reads_it(tmp_path: Path) -> None:
    chosen = random.Random(5)  # noqa: S311  texts, not keys
    texts = ["".join(chosen.choices(SIGNS, k=chosen.randint(0, 40))) for _ in range(5000)]
    (tmp_path / "Load.java").write_text(JAVA)
    (tmp_path / "texts").write_bytes("\1".join(texts).encode())

    command = ["java", "-Dfile.encoding=UTF-8", str(tmp_path / "Load.java"), str(tmp_path / "texts")]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)

    lines = done.stdout.splitlines()
    assert len(lines) == len(texts)
    for text, line in zip(texts, lines, strict=True):
        if line != "malformed":
            read = {item.key: item.value for item in properties.items(text) if item.key}
            assert (text, "".join(f"{_hex(key)},{_hex(read[key])}," for key in sorted(read))) == (text, line)


def _hex(text: str) -> str:
    return "".join(f"{ord(sign):04x}" for sign in text)
