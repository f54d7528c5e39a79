"""The command line of the `java` launcher: its options up to the main class, with the files that hold more of them.

Source: java(1), "java Command-Line Argument Files" and "Using the JDK_JAVA_OPTIONS Launcher Environment Variable";
src/java.base/share/native/libjli/args.c; for -XX:VMOptionsFile src/hotspot/share/runtime/arguments.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from trustmend.places.variables import java_words

Reader = Callable[[str], str | None]
"""The text of a file by its path as the command line has it; None where there is none."""

_BLANKS: Final = " \t\f\n\r"
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_WITH_VALUE: Final = frozenset(
    ("-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path", "--add-modules",
     "--enable-native-access", "--limit-modules", "--add-exports", "--add-opens", "--add-reads", "--patch-module",
     "-d", "--describe-module", "--source")
)  # fmt: skip
"""Options whose value is the next word (args.c, IsWhiteSpaceOption)."""
_VM_FILE: Final = "-XX:VMOptionsFile="


def launcher_options(words: Sequence[str], read: Reader) -> Iterator[str]:
    """The options that reach the JVM: all before the main class, the .jar or the module.

    Args:
        words: of the command line, the program's name left out.
        read: gives argument files.
    """
    value = False
    for word in _expanded(words, read):
        if value:
            value = False
            continue
        if not word.startswith("-") or word in ("-jar", "-m", "--module") or word.startswith("--module="):
            return
        value = word in _WITH_VALUE
        yield from vm_options([word], read)


def vm_options(words: Sequence[str], read: Reader) -> Iterator[str]:
    """Words with the JVM's own options files in place of the options that name them."""
    for word in words:
        if word.startswith(_VM_FILE):
            yield from java_words(read(word.removeprefix(_VM_FILE)) or "")
        else:
            yield word


def _expanded(words: Sequence[str], read: Reader) -> Iterator[str]:
    """Words with argument files in their place; `@@name` is a word, and what stands in a file is not expanded again."""
    stopped = False
    for word in words:
        if stopped or not word.startswith("@") or word == "@":
            stopped = stopped or word == "--disable-@files"
            yield word
        elif word.startswith("@@"):
            yield word[1:]
        else:
            yield from argument_file(read(word[1:]) or "")


def variable_words(text: str, read: Reader) -> Iterator[str]:
    """The options of JDK_JAVA_OPTIONS, which may name argument files, too."""
    yield from launcher_options(java_words(text), read)


def argument_file(text: str) -> list[str]:
    """The words of an argument file.

    Blanks and line ends part words, either quote groups; inside quotes a backslash escapes the next character or
    joins the next line without its leading blanks. A `#` outside of quotes begins a comment, and what stands right
    before it is lost; a line end ends a quote that is open.
    """
    found: list[str] = []
    word: list[str] | None = None
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char in "\n\r" or (char in " \t\f" and not quote):
            if word is not None:
                found.append("".join(word))
            word, quote = None, ""
        elif char == "#" and not quote:
            word = None
            while at < len(text) and text[at] not in "\n\r":
                at += 1
        elif char == "\\" and quote:
            char = text[at : at + 1]
            at += 1
            if char in ("\n", "\r"):
                while text[at : at + 1] and text[at] in _BLANKS:
                    at += 1
            if at >= len(text) and char in ("", "\n", "\r"):
                return found  # what an escape at the end cuts off is lost
            if char not in "\n\r":
                word = [*(word or []), _ESCAPES.get(char, char)]
        elif char in "'\"" and quote in ("", char):
            quote = "" if quote else char
            word = word or []
        else:
            word = word or []
            word.append(char)
    if word:
        found.append("".join(word))
    return found
