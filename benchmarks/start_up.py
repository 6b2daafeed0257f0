"""How long a command takes to begin: `skysy --help` and `skysy why` against an interpreter that imports typer.

    python benchmarks/start_up.py --warehouse DIR OBJECT_ID         a warehouse that is built, and one of its stars

Processor seconds are measured, user and system, which say less of what else the machine does.
The warehouse of docs/benchmarks.md has 366,721 objects: skysy simulate SKY --objects 366721 --seed 11, load, build.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import bench

TYPER, HELP, WHY = "python -c 'import typer'", "skysy --help", "skysy why OBJECT_ID"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("object_id")
    parser.add_argument("--warehouse", required=True)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    skysy = str(Path(sys.executable).with_name("skysy"))
    commands = {
        TYPER: (sys.executable, "-c", "import typer"),
        HELP: (skysy, "--help"),
        WHY: (skysy, "why", given.object_id, "--warehouse", given.warehouse),
    }
    found = bench.by_turns({name: lambda words=words: took(words) for name, words in commands.items()}, given.rounds)
    lines = [
        (f"`{name}`", bench.told(values), "" if name == TYPER else bench.ratios(values, found[TYPER]))
        for name, values in found.items()
    ]
    head = ("command", "processor seconds", "over the import of typer")
    bench.publish("start_up", [f"{given.rounds} rounds.", "", *bench.table(head, lines)])


def took(words: Sequence[str]) -> float:
    """Processor seconds of a command that succeeds; its modules are compiled once, as an installer does."""
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, capture_output=True, env=compiled)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
