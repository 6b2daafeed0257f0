"""What --verbose tells: each statement and each request as it ends, with its seconds, through the logger `skysy`."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

LOG = logging.getLogger("skysy")
_SHOWN = 240
"""Characters of a statement that are told; the models stand whole in sql/, requests in meta.chunk."""
_REMARK = re.compile(r"--[^\n]*")


def verbose() -> bool:
    """Whether anybody wants to know."""
    return LOG.isEnabledFor(logging.DEBUG)


@contextmanager
def timed(what: str, said: list[str] | None = None) -> Iterator[None]:
    """Tells of what is done inside, when it ends, well or not; `said` may be filled meanwhile with what came of it."""
    if not verbose():
        yield
        return
    began, end = time.monotonic(), "failed"
    try:
        yield
        end = ", ".join(said or ())
    finally:
        LOG.debug("%8.3f s  %s%s", time.monotonic() - began, on_one_line(what), f"  -> {end}" if end else "")


def on_one_line(statement: str) -> str:
    """A statement without remarks and line breaks, cut where it is long."""
    line = " ".join(_REMARK.sub("", statement).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]} ..."
