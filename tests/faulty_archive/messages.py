"""What was asked and what is answered, apart from sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Request:
    """One request as the archive saw it; the last five are known once it is answered.

    `parameters` have upper-case names, the first value of each; `uploads` are the files by the form's field.
    `operation` is what the archive calls it (`tap.sync`, `uws.create`, ...); `query` the ADQL that it is about,
    a job's own one too. `started` is time.monotonic(). `together` counts the requests open at its start, itself too.
    """

    number: int
    started: float
    method: str
    path: str
    parameters: Mapping[str, str]
    uploads: Mapping[str, bytes]
    headers: Mapping[str, str]
    together: int
    operation: str = "unknown"
    query: str = ""
    status: int = 0
    sent: int = 0
    seconds: float = 0.0
    faults: tuple[str, ...] = ()


@dataclass
class Reply:
    """An answer: `transfer` is chunked, length (Content-Length) or close (the body ends with the connection)."""

    status: int
    content_type: str
    body: bytes
    transfer: str = "chunked"
    headers: dict[str, str] = field(default_factory=dict)


def xml(text: str, status: int = 200) -> Reply:
    """An XML document."""
    return Reply(status, "text/xml", text.encode())


def parse(target: str, body: bytes, content_type: str) -> tuple[str, dict[str, str], dict[str, bytes]]:
    """(path, parameters, uploaded files) of a request line's target and its body."""
    parts = urlsplit(target)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    files: dict[str, bytes] = {}
    if content_type.startswith("application/x-www-form-urlencoded"):
        pairs += parse_qsl(body.decode(), keep_blank_values=True)
    elif content_type.startswith("multipart/form-data"):
        fields, files = _multipart(body, content_type.partition("boundary=")[2].strip('"'))
        pairs += fields
    parameters: dict[str, str] = {}
    for name, value in pairs:
        upper = name.upper()
        repeated = upper in parameters and upper in ("UPLOAD", "PHASE")
        if repeated:
            parameters[upper] += (";" if upper == "UPLOAD" else ",") + value
        else:
            parameters.setdefault(upper, value)
    return parts.path, parameters, files


def _multipart(body: bytes, boundary: str) -> tuple[list[tuple[str, str]], dict[str, bytes]]:
    """The fields and the files of a form (RFC 7578)."""
    fields, files = [], {}
    for part in body.split(b"--" + boundary.encode())[1:-1]:
        head, _, content = part[2:-2].partition(b"\r\n\r\n")
        told = dict(
            word.strip().split("=", 1)
            for line in head.decode().split("\r\n")
            for word in line.split(";")
            if "=" in word
        )
        name = told["name"].strip('"')
        if "filename" in told:
            files[name] = content
        else:
            fields.append((name, content.decode()))
    return fields, files
