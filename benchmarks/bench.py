"""What the benchmarks share: sides by turns, medians with their spread, tables into docs/benchmarks.md, a peer, a reader's warehouse."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skysy.store import Warehouse

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
RELEASE = "skymapper_dr2"
BINARY2 = "application/x-votable+xml;serialization=BINARY2"

sys.path.insert(0, str(ROOT / "tests"))  # for archive_peer


def by_turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each side measures, once a round; every other round in reverse order, so that none always comes first."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in names:
            found[name].append(sides[name]())
            print(f"round {number + 1} of {rounds}: {name:<40} {found[name][-1]:10.3f}", flush=True)
    return found


def wait_for_quiet(patience_s: float) -> None:
    """Wait until the processors were nine tenths idle for two seconds, but no longer than patience goes."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        before = _idle_ticks()
        time.sleep(2)
        if _idle_ticks() - before > 0.9 * 2 * os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1):
            return


def _idle_ticks() -> int:
    return int(Path("/proc/stat").read_text(encoding="ascii").split()[4])


def seconds(do: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def told(values: Sequence[float], digits: int = 2) -> str:
    """Median, and lowest to highest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def ratios(above: Sequence[float], below: Sequence[float], digits: int = 1) -> str:
    """The ratio of two sides round by round: median, and lowest to highest."""
    return told([one / other for one, other in zip(above, below, strict=True)], digits)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    return ["| " + " | ".join(row) + " |" for row in (head, ["--"] * len(head), *rows)]


def publish(name: str, lines: Sequence[str], page: Path = PAGE) -> None:
    """Print lines and put them between the page's markers of that name, with the day and the machine's load."""
    load = os.getloadavg()[1]
    when = f"*{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load average {load:.1f}.*"
    text = "\n".join([*lines, "", when])
    print(text)
    begin, end = f"<!-- measured: {name} -->", f"<!-- end of {name} -->"
    old = page.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(old):
        raise SystemExit(f"{page} has no place {begin}")
    page.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", old), encoding="utf-8")


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory on disk that another user may enter (the peer's servers do not run as root); removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="skysy-bench-", dir="/var/tmp"))
    try:
        directory.chmod(0o755)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def grow(house: Warehouse, rows: int) -> None:
    """Copy photometry under new object ids until there are so many rows.

    Magnitudes of copies differ by up to 0.001 mag: files of equal values would be smaller than a survey's.
    """
    have = int(house.value("SELECT count(*) FROM dr2.photometry"))
    step = int(house.value("SELECT max(object_id) + 1 FROM dr2.photometry"))
    change_mag = "(CAST(hash(p.object_id, p.image_id, copy) % 2001 AS DOUBLE) - 1000) / 1e6"
    house.run(
        f"INSERT INTO dr2.photometry SELECT p.* REPLACE (p.object_id + copy * {step} AS object_id, "
        f"CAST(p.mag_psf + {change_mag} AS FLOAT) AS mag_psf) "
        f"FROM dr2.photometry AS p, range(1, {-(-rows // have)}) AS c(copy) WHERE p.object_id IS NOT NULL"
    )


def skysy(*words: object) -> str:
    """The command line in a process of its own; what it printed."""
    command = [sys.executable, "-m", "skysy", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


_MEASURED = """
import os, sys, time
from skysy.cli.commands import app
started = time.perf_counter()
app(sys.argv[1:], standalone_mode=False)
took, times = time.perf_counter() - started, os.times()
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("measured", took, times.user + times.system, peak, file=sys.stderr)
"""


@dataclass(frozen=True)
class Run:
    """What a command took: seconds, seconds of processor time, and the most memory that it held at any time, MB of 1024 kB."""

    seconds: float
    cpu: float
    peak_mb: float


def measured(*words: object) -> Run:
    """A command in a process of its own. The peak is the kernel's VmHWM: ru_maxrss would have the parent's memory in it."""
    command = [sys.executable, "-c", _MEASURED, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    took, cpu, peak = map(float, done.stderr.split("measured ")[1].split())
    return Run(took, cpu, peak / 1024)


def configuration(path: Path, url: str, **skymapper: object) -> Path:
    """A skysy.toml that sends every route to one TAP service; SkyMapper's profile there with these settings."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in {"pause_s": 0.0, **skymapper}.items()]
    path.write_text(
        "\n".join(["[services.skymapper]", f'url = "{url}"', *lines, "[services.ari]", f'url = "{url}"', ""]),
        encoding="utf-8",
    )
    return path
