"""What README.md promises is so: help texts, commands, options, depths of the search, exit codes."""

from __future__ import annotations

import re
import shlex

import pytest

from command import trustmend
from shipped import ROOT
from trustmend.errors import Exit
from trustmend.places import tree

README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ trustmend (.*?)(?:\s+#.*)?$", README, re.MULTILINE)


def test_the_help_text_is_the_commands_own() -> None:
    shown = re.findall(r"<!-- help: (\w+) -->\n```text\n(.*?)```", README, re.DOTALL)

    assert shown
    for command, text in shown:
        assert trustmend(command, "--help", environ={"COLUMNS": "80"}).out.strip() == text.strip()


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_and_option_exists(line: str) -> None:
    words = shlex.split(line)
    options = [word for word in words if word.startswith("-")]
    if words[0] == "--root":
        assert "--root" in trustmend("--help").out
        words, options = words[2:], options[1:]
    command = words[:2] if words[0] == "bundle" else words[:1]
    told = trustmend(*command, "--help")

    assert told.code == 0
    for option in options:
        assert re.search(rf"^\s+(-\w, )?{option}\b|^\s+{option}, ", told.out, re.MULTILINE), option


def test_the_depths_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (.*) \| (\d) \|$", README.split("costs no depth")[1].split("##")[0], re.MULTILINE)
    said = {path: int(depth) for words, depth in rows for path in re.findall(r"`(/[\w/]*)`", words)}

    assert {path: depth for path, depth in said.items() if path in dict(tree.TOPS)} == dict(tree.TOPS)
    by_words = {words.split(" ")[0]: int(depth) for words, depth in rows}
    assert by_words["homes"] == tree.HOME_DEPTH
    assert by_words["other"] == tree.OTHER_DEPTH
    assert by_words["packages"] == tree.LIBRARY_DEPTH


def test_every_exit_code_is_told() -> None:
    told = set(map(int, re.findall(r"^\| (\d+) \|", README, re.MULTILINE)))

    assert told == {int(code) for code in Exit}


def test_every_file_that_it_names_is_there() -> None:
    for path in re.findall(r"`((?:scripts|src|bundles)/[\w./-]+)`", README):
        assert (ROOT / path).exists(), path
