"""A small archive that answers as MAST does: portal, look-up of paths and public bucket on the loopback, with faults on demand.

Shapes of replies are those captured in astroquery's own tests (caom.json, products.json, mast_relative_path.json). How a cross-match
tells whose rows it gives is not known of the real service; here it is as `echo` and `once` say.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

FIELDS = {
    "dataproduct_type": "string", "obs_collection": "string", "instrument_name": "string", "project": "string",
    "provenance_name": "string",
    "filters": "string", "target_name": "string", "obs_id": "string", "s_ra": "float", "s_dec": "float",
    "proposal_id": "string", "calib_level": "int", "intentType": "string", "t_min": "float", "t_max": "float",
    "t_exptime": "float", "dataRights": "string", "dataURL": "string", "obsid": "string", "srcDen": "number",
    "distance": "float", "_selected_": "boolean",
}  # fmt: skip
PRODUCT_FIELDS = {
    "obsID": "string", "obs_collection": "string", "dataproduct_type": "string", "obs_id": "string", "description": "string",
    "type": "string", "dataURI": "string", "productType": "string", "productGroupDescription": "string",
    "productSubGroupDescription": "string", "project": "string", "prvversion": "string", "productFilename": "string",
    "size": "int", "parent_obsid": "string", "_selected_": "boolean",
}  # fmt: skip


@dataclass
class MastArchive:
    """Observations with their footprints' radius in degrees (`reach`), products by obsid, paths by URI, files by name in the bucket.

    `faults` are done to the next requests of a kind, one each: pairs of kind (invoke, lookup, file) and fault. `echo` False: a
    cross-match sends no uploaded column back; `once`: an observation comes for the first position alone; `bare`: an answer without rows names no columns.
    """

    observations: Sequence[Mapping[str, Any]]
    products: Mapping[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    echo: bool = True
    once: bool = False
    bare: bool = False
    faults: list[tuple[str, str]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    etags: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                archive._get(self)

            def do_POST(self) -> None:
                archive._post(self)

            def log_message(self, *words: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The server, as https://mast.stsci.edu is; the bucket is /stpubdata on it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def heal(self) -> None:
        """No faults, nothing remembered."""
        self.faults.clear()
        self.requests.clear()
        self.etags.clear()
        self.types.clear()
        self.echo, self.once, self.bare = True, False, False

    def asked(self, service: str) -> list[dict[str, Any]]:
        """The requests to one service of the portal."""
        return [one for one in self.requests if one.get("service") == service]

    def _fault(self, kind: str) -> str:
        for place, (of, fault) in enumerate(self.faults):
            if of == kind:
                del self.faults[place]
                return fault
        return ""

    def _post(self, http: BaseHTTPRequestHandler) -> None:
        text = http.rfile.read(int(http.headers["Content-Length"])).decode()
        if not http.path.endswith("/invoke"):  # astroquery asks for the columns' settings first
            _send(http, "{}")
            return
        request = json.loads(parse_qs(text)["request"][0])
        self.requests.append(request)
        fault = self._fault("invoke")
        if fault == "executing":
            _send(http, json.dumps({"status": "EXECUTING", "msg": "", "data": [], "fields": [], "paging": {}}))
        elif fault == "error":
            _send(
                http, json.dumps({"status": "ERROR", "msg": "Error converting data type varchar to float.", "data": []})
            )
        elif fault == "html":
            _send(http, "<html><body>We are down for maintenance.</body></html>", "text/html")
        elif fault == "busy":
            _send(http, "slow down", status=429, headers={"Retry-After": "0"})
        else:
            _send(http, *self._page(request, fault))

    def _page(self, request: Mapping[str, Any], fault: str) -> tuple[str, ...]:
        fields, rows = self._answer(request)
        size, page = int(request["pagesize"]), int(request["page"])
        some = rows[(page - 1) * size : page * size]
        pages = -(-len(rows) // size)
        paging = {
            "page": page + (fault == "same page"), "pageSize": size, "pagesFiltered": pages,
            "rows": len(some), "rowsFiltered": len(rows) + (fault == "fewer rows"), "rowsTotal": len(rows),
        }  # fmt: skip
        told = [{"name": name, "type": kind} for name, kind in {**fields, **self.types}.items() if name in fields]
        told = [] if self.bare and not rows else told + told[:1]  # one of them twice, as happens
        text = json.dumps({"status": "COMPLETE", "msg": "", "data": some, "fields": told, "paging": paging})
        return (text[: len(text) // 2] if fault == "cut" else text,)

    def _answer(self, request: Mapping[str, Any]) -> tuple[dict[str, str], list[dict[str, Any]]]:
        params = request["params"]
        if request["service"] == "Mast.Caom.Products":
            wanted = [int(word) for word in params["obsid"].split(",")]
            return PRODUCT_FIELDS, [
                _filled(row, PRODUCT_FIELDS) for key in wanted for row in self.products.get(key, [])
            ]
        if request["service"] == "Mast.Caom.Cone":
            return FIELDS, self._around(params["ra"], params["dec"], params["radius"])
        assert request["service"] == "Mast.Caom.Crossmatch", request["service"]
        found: list[dict[str, Any]] = []
        for one in request["data"]["data"]:
            rows = self._around(one[params["raColumn"]], one[params["decColumn"]], params["radius"])
            seen = {row["obsid"] for row in found} if self.once else set()
            found += [{**row, **(one if self.echo else {})} for row in rows if row["obsid"] not in seen]
        uploaded = {column["name"]: column["type"] for column in request["data"]["fields"]} if self.echo else {}
        return {**FIELDS, **uploaded}, found

    def _around(self, ra: float, dec: float, radius: float) -> list[dict[str, Any]]:
        found = []
        for one in self.observations:
            off = _separation_deg(ra, dec, one["s_ra"], one["s_dec"]) - one.get("reach", 0.0)
            if off <= radius:
                found.append(_filled({**one, "distance": max(off, 0.0) * 3600}, FIELDS))
        return found

    def _get(self, http: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(http.path)
        if parts.path.endswith("/path_lookup/"):
            uris = parse_qs(parts.query)["uri"]
            self.requests.append({"service": "path_lookup", "uris": uris})
            told = {
                uri: {"status_code": 200 if uri in self.paths else 404, "path": self.paths.get(uri)} for uri in uris
            }
            _send(http, "[]" if self._fault("lookup") == "empty" else json.dumps(told))
            return
        name = parts.path.removeprefix("/stpubdata/")
        self.requests.append({"service": "file", "name": name, "range": http.headers.get("Range")})
        self._file(http, name)

    def _file(self, http: BaseHTTPRequestHandler, name: str) -> None:
        fault = self._fault("file")
        if name not in self.files:
            _send(http, "<Error><Code>NoSuchKey</Code></Error>", "application/xml", status=404)
            return
        body, etag = self.files[name], self.etags.get(name, f'"{len(self.files[name])}-1"')
        start = 0
        asked, if_range = http.headers.get("Range", ""), http.headers.get("If-Range", etag)
        if asked and if_range == etag and fault != "no range":
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        http.send_response(206 if start else 200)
        http.send_header("Content-Length", str(len(body) - start))
        http.send_header("ETag", etag)
        if start:
            http.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        http.end_headers()
        if fault == "stall":
            http.wfile.write(body[start : start + (len(body) - start) // 2])
            http.wfile.flush()
            time.sleep(4.0)
        elif fault == "cut":
            http.wfile.write(body[start : start + (len(body) - start) // 2])
            http.close_connection = True
        else:
            http.wfile.write(body[start:])


def _filled(row: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    return {name: row.get(name) for name in fields}


def _send(
    http: BaseHTTPRequestHandler,
    text: str,
    kind: str = "application/json",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> None:
    body = text.encode()
    http.send_response(status)
    for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
        http.send_header(name, value)
    http.end_headers()
    http.wfile.write(body)


def _separation_deg(ra: float, dec: float, other_ra: float, other_dec: float) -> float:
    a, b = math.radians(dec), math.radians(other_dec)
    half = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(other_ra - ra) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(half))))
