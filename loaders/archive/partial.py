"""A file that came in part, and the note beside it of what it is a part of, so that a later request may ask for the rest.

    NAME.part        the bytes so far
    NAME.part.json   {"url", "etag", "size"}: where they are from, the service's word for that content, and its whole size

The rest is asked for with Range and If-Range (RFC 9110, section 13.1.5): a service that has other content by now sends all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from skysy.errors import QueryFailed
from skysy.formats.whole import whole_file


@dataclass(frozen=True)
class Whole:
    """What a part is a part of; `size` None where the service does not tell."""

    url: str
    etag: str
    size: int | None


def told(part: Path) -> Whole | None:
    """What the note beside a part says, None without one that can be read."""
    try:
        found = json.loads(_note(part).read_text(encoding="utf-8"))
        return Whole(str(found["url"]), str(found["etag"]), None if found["size"] is None else int(found["size"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def wanted(part: Path, url: str) -> dict[str, str]:
    """Headers that ask for the rest of a file, or for all of it where nothing can be gone on with."""
    whole = told(part)
    headers = {"Accept-Encoding": "identity"}
    have = part.stat().st_size if part.is_file() else 0
    if whole is None or whole.url != url or not have or not whole.etag or whole.etag.startswith("W/"):
        return headers
    return {**headers, "Range": f"bytes={have}-", "If-Range": whole.etag}


def goes_on(part: Path, url: str, status: int, headers: Mapping[str, str]) -> bool:
    """Whether what comes now belongs at the end of the part; otherwise it is a whole file, of which a note is written.

    Raises QueryFailed for a part that was not asked for.
    """
    if status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if found is None or int(found[1]) != part.stat().st_size:
            raise QueryFailed(f"{url}: another part of the file came than was asked for.")
        return True
    length = headers.get("Content-Length", "")
    whole = Whole(url, headers.get("ETag", ""), int(length) if length.isdigit() else None)
    with whole_file(_note(part)) as out:
        out.write(json.dumps(asdict(whole)).encode())
    return False


def forget(part: Path) -> None:
    """Take a part and its note away."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def forget_note(part: Path) -> None:
    """Take the note away: the part has become the file."""
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")
