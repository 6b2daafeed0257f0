"""Command output in the documentation, made by running the commands: `make docs` writes it, `make docs-check` compares.

A line `<!-- before: COMMAND -->` is run first and prints nothing; it must be harmless to repeat. A block starts with the line
`<!-- output of: COMMAND -->` and ends with `<!-- end -->`; what stands between is replaced. The commands run from the project's
root and may read what `make demo` left in demo/. The pages that generate.py writes from the SQL are renewed, or compared, as well.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import generate

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"(?P<head><!-- output of: (?P<command>.+?) -->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.DOTALL)
_BEFORE = re.compile(r"<!-- before: (?P<command>.+?) -->")
_VARYING = re.compile(r"\d+\.\d+ s\b|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
"""What differs from run to run: seconds and clock times."""


def run(command: str) -> str:
    """What a command prints on standard output."""
    program, *words = shlex.split(command)
    if program != "skysy":
        raise SystemExit(f"{command!r}: only skysy's own commands are run.")
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-m", "skysy", *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{command!r} failed:\n{done.stderr}")
    return done.stdout


def output(command: str) -> str:
    """The same under a prompt, as a Markdown code block."""
    lines = "\n".join(line.rstrip() for line in run(command).rstrip().splitlines())
    return f"\n```console\n$ {command}\n{lines}\n```\n\n"


def main(check: bool) -> int:
    """Rewrite the pages, or with `check` only name the blocks that no longer say what the command prints."""
    stale = generate.main(check)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for before in _BEFORE.finditer(text):
            run(before["command"])

        def fresh(block: re.Match[str], name: str = page.name) -> str:
            nonlocal stale
            body = output(block["command"])
            if _VARYING.sub("_", body) != _VARYING.sub("_", block["body"]):
                stale += 1
                print(f"{name}: {block['command']}{' prints something else now' if check else ''}")
            return block["head"] + body + block["end"]

        renewed = _BLOCK.sub(fresh, text)
        if not check:
            page.write_text(renewed, encoding="utf-8")
    return stale if check else 0


if __name__ == "__main__":
    sys.exit(1 if main(check="--check" in sys.argv[1:]) else 0)
