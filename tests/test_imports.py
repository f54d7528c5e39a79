"""The layers of the code: who may import whom, who may touch the host, and what a start may load."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
CORE = ("certificate", "model", "host", "errors", "der", "signatures")
"""What every place and every format may stand on."""
PURE = (
    "certificate",
    "model",
    "der",
    "signatures",
    "audit",
    "validate",
    "walks",
    "readers",
    "advice",
    "plan",
    "plan_words",
    "planning",
    "systems",
    "upgrades",
    "timeline",
    "smallest",
    "programs",
)
"""Equal inputs, equal output: no host, no environment, no clock."""
FILES = {path.relative_to(SRC).with_suffix("").as_posix(): path for path in sorted(SRC.rglob("*.py"))}
"""'trustmend/places/java' -> its path."""


def imported(tree: ast.AST, package: str) -> set[str]:
    """Every module that `tree` imports, at any depth, absolute: 'trustmend.places.java', 'os'.

    Args:
        tree: a module's.
        package: the dotted package it is in, for relative imports.
    """
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from trustmend.places import java` imports a module, `from trustmend.model import Finding` does not.
            found |= {
                f"{base}.{alias.name}" if f"{base}.{alias.name}".replace(".", "/") in FILES else base
                for alias in node.names
            }
    return found


def own_imports(name: str) -> set[str]:
    """The modules of trustmend that the file `name` imports, without the leading 'trustmend.'."""
    package = name.replace("/", ".").rpartition(".")[0] if not name.endswith("__init__") else name[:-9]
    names = imported(ast.parse(FILES[name].read_bytes()), package.replace("/", "."))
    return {one.removeprefix("trustmend").removeprefix(".") for one in names if one.split(".")[0] == "trustmend"}


def uses(tree: ast.AST, module: str, attribute: str) -> bool:
    """Whether `module.attribute` is named in `tree`, or imported from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == attribute:
            if isinstance(node.value, ast.Name) and node.value.id == module:
                return True
        elif isinstance(node, ast.ImportFrom) and node.module == module and attribute in {n.name for n in node.names}:
            return True
    return False


def layer(*names: str) -> list[str]:
    """The files of the packages or modules `names` of trustmend; each must have one."""
    chosen = [
        file for file in FILES if any(file == f"trustmend/{n}" or file.startswith(f"trustmend/{n}/") for n in names)
    ]
    assert chosen
    return chosen


@pytest.mark.parametrize("package", ["places", "formats"])
def test_places_and_formats_stand_on_the_core_alone(package: str) -> None:
    wrong = {
        file: strangers
        for file in layer(package)
        if (strangers := {one for one in own_imports(file) if one.split(".")[0] not in (*CORE, package)})
    }

    assert not wrong


def test_only_the_module_that_starts_it_imports_the_command_line() -> None:
    below = [file for file in FILES if not file.startswith("trustmend/cli/") and file != "trustmend/__main__"]

    assert not [file for file in below if any(one.split(".")[0] == "cli" for one in own_imports(file))]


def test_the_report_does_not_look_at_the_host() -> None:
    assert not [file for file in layer("report") if own_imports(file) & {"host"}]


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_reach_neither_host_nor_system_nor_clock(module: str) -> None:
    forbidden = {"os", "sys", "subprocess", "time", "pathlib", "socket", "shutil", "glob", "io", "tempfile"}

    for file in layer(module):
        tree = ast.parse(FILES[file].read_bytes())

        assert not imported(tree, "trustmend") & forbidden, file
        assert "host" not in own_imports(file), file
        assert not any(uses(tree, "datetime", call) for call in ("now", "today", "utcnow")), file
        assert not any(isinstance(node, ast.Name) and node.id == "open" for node in ast.walk(tree)), file


def test_programs_are_started_by_the_host_alone() -> None:
    starters = [file for file in FILES if "subprocess" in imported(ast.parse(FILES[file].read_bytes()), "trustmend")]
    calls = [
        file
        for file in FILES
        for call in ("system", "popen", "execv", "execvp", "execve", "posix_spawn")  # fork starts no program
        if uses(ast.parse(FILES[file].read_bytes()), "os", call)
    ]

    assert starters == ["trustmend/host"]
    assert not calls


WRITERS = ("mkdir", "makedirs", "rename", "replace", "remove", "unlink", "rmdir", "link", "symlink", "chmod", "chown")


def test_files_are_written_by_the_change_package_alone() -> None:
    """And by the command line, for the answer that -o asks for, and by one module for temporary files of programs."""
    trees = {file: ast.parse(path.read_bytes()) for file, path in FILES.items()}
    calls = {file for file, tree in trees.items() if any(uses(tree, "os", call) for call in WRITERS)}
    modules = {file for file, tree in trees.items() if imported(tree, "trustmend") & {"shutil", "tempfile"}}
    opened = {
        file
        for file, tree in trees.items()
        if any(isinstance(node, ast.Name) and node.id == "open" for node in ast.walk(tree))
    }

    assert "trustmend/prove/scratch" in calls & modules
    assert {file.rpartition("/")[0] for file in (calls | modules) - {"trustmend/prove/scratch"}} == {"trustmend/change"}
    assert opened == {"trustmend/cli/options"}


def test_the_environment_is_read_by_the_host_and_for_colour_alone() -> None:
    readers = [
        file
        for file in FILES
        if any(uses(ast.parse(FILES[file].read_bytes()), "os", name) for name in ("environ", "getenv", "environb"))
    ]

    assert set(readers) <= {"trustmend/host", "trustmend/cli/app"}


def test_the_clock_is_read_by_the_host_alone() -> None:
    trees = {file: ast.parse(path.read_bytes()) for file, path in FILES.items()}
    readers = [
        file for file, tree in trees.items() if any(uses(tree, "datetime", call) for call in ("now", "today", "utcnow"))
    ]

    assert set(readers) <= {"trustmend/host"}


def test_the_command_line_loads_neither_cryptography_nor_rich() -> None:
    code = "import sys, trustmend.cli.app; print(*sorted({name.split('.')[0] for name in sys.modules}))"

    done = subprocess.run(
        [sys.executable, "-P", "-s", "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SRC), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(done.stdout.split())
    assert "trustmend" in loaded
    assert not loaded & {"cryptography", "rich", "asyncio", "ssl"}


def test_the_reading_of_imports_itself() -> None:
    tree = ast.parse(
        "import os.path\nfrom ..places import java\nfrom trustmend.model import Finding\n"
        "def f():\n    from subprocess import run\n    return os.environ, datetime.now()\n"
    )

    assert imported(tree, "trustmend.formats") >= {"os.path", "trustmend.model", "subprocess"}
    assert any(one.startswith("trustmend.places") for one in imported(tree, "trustmend.formats"))
    assert uses(tree, "os", "environ")
    assert uses(tree, "datetime", "now")
    assert not uses(tree, "os", "getenv")
