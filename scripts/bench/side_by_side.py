"""Times programs turn by turn in one run, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Runner:
    """A program with its arguments; what each of its runs took."""

    title: str
    argv: Sequence[str]
    codes: frozenset[int] = frozenset({0})  # exit codes that are no failure
    before: Sequence[str] = ()  # a program that makes the start the same each time; not measured
    seconds: list[float] = field(default_factory=list)
    kilobytes: int = 0  # the most memory that one run had at once

    def run(self, environ: Mapping[str, str]) -> None:
        """Run it once, its output thrown away. Raises SystemExit where it fails: a failure takes no true time."""
        if self.before:
            subprocess.run(
                list(self.before), env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, check=True
            )
        start = time.perf_counter()
        child = subprocess.Popen(
            list(self.argv), env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(child.pid, 0)
        self.seconds.append(time.perf_counter() - start)
        child.returncode = os.waitstatus_to_exitcode(status)  # it is waited for: Popen must not try again
        self.kilobytes = max(self.kilobytes, usage.ru_maxrss)
        if child.returncode not in self.codes:
            raise SystemExit(f"`{' '.join(self.argv)}` ended with {child.returncode}: nothing is measured")

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


def compare(ours: Runner, peer: Runner, *, rounds: int, target: float) -> None:
    """Run both in turn and print times, memory and the ratio of the medians; the first round only warms up."""
    names = ("PATH", "HOME", "XDG_CACHE_HOME", "CAROOT", "JAVA_HOME", "TRUST_STORES")
    environ = {name: os.environ[name] for name in names if name in os.environ}
    for number in range(rounds + 1):
        for runner in (ours, peer) if number % 2 else (peer, ours):
            runner.run(environ)
            if number == 0:
                runner.seconds.clear()
    for runner in (ours, peer):
        low, high = min(runner.seconds), max(runner.seconds)
        memory = f"{runner.kilobytes / 1024:.0f} MB"
        print(f"{runner.title:<28} {runner.median:7.3f} s  ({low:.3f} to {high:.3f}, {rounds} runs)  {memory}")
    print(f"ratio {ours.median / peer.median:.2f} (target: {target} or less)")


def rounds_asked(default: int) -> int:
    """The number on the command line."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else default
