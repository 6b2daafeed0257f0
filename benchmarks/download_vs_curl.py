"""All photometry of a server in one answer: skysy's client against curl, the same query, into a file.

    python benchmarks/download_vs_curl.py            needs the tests' archive (docs/archive-peer.md) and curl

skysy's client takes the checksum of what comes and sees it to the disk; curl does neither.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bench
from archive_peer.peer import start
from skysy.analysis.simulate.write import simulate
from skysy.loaders.archive.services import load_services
from skysy.loaders.archive.tap import Tap, parameters
from skysy.loaders.archive.wire import Wire

QUERY = "SELECT * FROM dr2.photometry"
MOST = 1_000_000
SKYSY, CURL = "skysy's client", "curl"
FORMS = {"BINARY2": bench.BINARY2, "TABLEDATA": "application/x-votable+xml;serialization=TABLEDATA", "CSV": "csv"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objects", type=int, default=6_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with bench.workplace() as place:
        simulate(place / "sky", objects=given.objects, seed=11)
        peer = start(place / "peer", [place / "sky"])
        try:
            lines = [compare(place, peer.tap_url, name, form, given.rounds) for name, form in FORMS.items()]
        finally:
            peer.stop()
        head = ("format", "MB", "skysy s", "curl s", "skysy's time over curl's")
        bench.publish("download_vs_curl", [f"`{QUERY}`, {given.rounds} rounds.", "", *bench.table(head, lines)])


def compare(place: Path, tap_url: str, name: str, form: str, rounds: int) -> tuple[str, ...]:
    """One line of the table."""
    service = replace(load_services().services["skymapper"], url=tap_url, pause_s=0.0)
    tap = Tap(Wire(service))
    ours, theirs = place / "skysy.answer", place / "curl.answer"
    sides: dict[str, Callable[[], float]] = {
        SKYSY: lambda: bench.seconds(lambda: tap.sync(QUERY, ours, most=MOST, form=form)),
        CURL: lambda: bench.seconds(lambda: curl(f"{tap_url}/sync", form, theirs)),
    }
    found = bench.by_turns(sides, rounds)
    sizes = [path.stat().st_size for path in (ours, theirs)]
    if abs(sizes[0] - sizes[1]) > 1_000:  # the header has the time of the answer
        raise SystemExit(f"{name}: the sides differ: {sizes}")
    return (
        name, f"{sizes[0] / 1e6:.1f}", bench.told(found[SKYSY]), bench.told(found[CURL]),
        bench.ratios(found[SKYSY], found[CURL], 2),
    )  # fmt: skip


def curl(url: str, form: str, to: Path) -> None:
    """The same request."""
    words, _ = parameters(QUERY, form, MOST, None)
    fields = [one for name, value in words.items() for one in ("--data-urlencode", f"{name}={value}")]
    subprocess.run(["curl", "--silent", "--fail", "--output", to, *fields, url], check=True)


if __name__ == "__main__":
    main()
