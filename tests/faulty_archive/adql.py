"""ADQL as SQL that DuckDB runs; what ADQL 2.1 does not know is refused in the words of a real service."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


class QueryError(Exception):
    """The service cannot run the query; the text is what its error document says."""


_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
    |(?P<text>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")+")
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<mark><>|!=|<=|>=|\|\||[-+*/<>=(),.])""",
    re.VERBOSE,
)
_BLOCK_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SYNTAX = _words(
    """
    all and any as asc between both by case cross desc distinct else end escape except exists from full group
    having in inner intersect is join left like natural not null offset on or order outer over right select some
    then top union using when where with
    """
)
_TYPES = _words("bigint char double integer int numeric precision real smallint varchar")
_FUNCTIONS = _words(
    """
    abs acos asin atan atan2 avg cast ceiling coalesce cos cot count degrees exp floor log10 lower max min mod
    nullif pi power radians round sin sqrt sum tan upper
    """
)
_RENAMED = {
    "point": "adql_point", "circle": "adql_circle", "contains": "adql_contains", "distance": "adql_distance",
    "log": "ln", "truncate": "trunc", "rand": "random",
}  # fmt: skip
_RESERVED = _words(
    """
    absolute action add allocate alter are assertion at authorization begin bit cascade cascaded catalog character
    check close collate collation column commit connect connection constraint constraints continue convert
    corresponding create current current_date current_time current_timestamp current_user cursor date day
    deallocate decimal declare default deferrable deferred delete describe descriptor diagnostics disconnect
    domain drop exception exec execute external extract fetch first float for foreign found get global go goto
    grant hour identity immediate indicator initially input insensitive insert interval into isolation key
    language last leading level local match minute module month names national nchar next no octet_length of only
    open option output overlaps pad partial position prepare preserve primary prior privileges procedure public
    read references relative restrict revoke rollback rows schema scroll second section session session_user set
    size space sql sqlcode sqlerror sqlstate substring system_user table temporary time timestamp timezone_hour
    timezone_minute to trailing transaction translate translation trim unique unknown update usage user value
    values varying view whenever work write year zone true false bit_length char_length character_length area box
    centroid coord1 coord2 coordsys ilike intersects in_unit latitude moc polygon region square stddev
    """
)
"""Reserved words of ADQL 2.1 (section 2.1.3) that this service has no use for; a name that is one must be quoted."""

_FOREIGN = _words("limit qualify pivot unpivot sample tablesample exclude asof semi anti lateral")

MACROS = (
    "CREATE MACRO adql_point(ra, decl) AS {'ra': ra, 'decl': decl}, (frame, ra, decl) AS {'ra': ra, 'decl': decl}",
    "CREATE MACRO adql_circle(centre, r) AS {'ra': centre['ra'], 'decl': centre['decl'], 'r': r}, "
    "(ra, decl, r) AS {'ra': ra, 'decl': decl, 'r': r}, "
    "(frame, ra, decl, r) AS {'ra': ra, 'decl': decl, 'r': r}",
    "CREATE MACRO haversine_deg(ra1, dec1, ra2, dec2) AS degrees(2 * asin(least(1.0, sqrt("
    "pow(sin(radians(dec2 - dec1) / 2), 2) "
    "+ cos(radians(dec1)) * cos(radians(dec2)) * pow(sin(radians(ra2 - ra1) / 2), 2)))))",
    "CREATE MACRO adql_distance(a, b) AS haversine_deg(a['ra'], a['decl'], b['ra'], b['decl']), "
    "(ra1, dec1, ra2, dec2) AS haversine_deg(ra1, dec1, ra2, dec2)",
    "CREATE MACRO adql_contains(p, c) AS "
    "CAST(haversine_deg(p['ra'], p['decl'], c['ra'], c['decl']) <= c['r'] AS INTEGER)",
)
"""What the translated names mean; angles in degrees."""


@dataclass(frozen=True)
class Translated:
    """SQL for DuckDB, and the names that may be tables: `schema.table` or `table`, lower case, in order."""

    sql: str
    names: tuple[str, ...]
    uploads: tuple[str, ...]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


def translate(query: str, *, block_comments: bool = False) -> Translated:
    """The query as SQL; raises QueryError for what ADQL does not know. With `block_comments`, /* */ is a space."""
    if block_comments:
        query = _BLOCK_COMMENT.sub(lambda found: " " * len(found[0]), query)
    tokens = _tokens(query)
    if not tokens or tokens[0].text.lower() not in ("select", "with"):
        raise _unparsed(query, tokens[0].place if tokens else 0, 'Expected "SELECT"')
    out: list[str] = []
    limits: list[str] = [""]  # of each open parenthesis, the LIMIT that its SELECT's TOP asks for
    place = 0
    while place < len(tokens):
        token = tokens[place]
        word = token.text.lower()
        if token.text == "(":
            limits.append("")
        elif token.text == ")" and len(limits) > 1:
            out.append(limits.pop())
        elif token.kind == "word" and word == "top" and tokens[place + 1].kind == "number":
            limits[-1] = f"LIMIT {tokens[place + 1].text}"
            place += 2
            continue
        out.append(_sql(query, tokens, place))
        place += 1
    names = _names(tokens)
    uploads = tuple(name.removeprefix("tap_upload.") for name in names if name.startswith("tap_upload."))
    sql = " ".join([*out, limits[0]]).replace("tap_upload . ", "tap_upload_").strip()
    return Translated(sql, names, uploads)


def _tokens(query: str) -> list[_Token]:
    found, place = [], 0
    while place < len(query):
        match = _TOKEN.match(query, place)
        if match is None or query.startswith("/*", place):
            raise _unparsed(query, place, "Expected end of text")
        if match.lastgroup != "space":
            found.append(_Token(str(match.lastgroup), match[0], place))
        place = match.end()
    return found


def _sql(query: str, tokens: Sequence[_Token], place: int) -> str:
    """One token as DuckDB wants it."""
    token = tokens[place]
    word = token.text.lower()
    if token.kind != "word" or word in _SYNTAX:
        return token.text
    if word in _FOREIGN:
        raise _unparsed(query, token.place, "Expected end of text")
    if place + 1 < len(tokens) and tokens[place + 1].text == "(":
        if word in _FUNCTIONS or word in _TYPES:
            return token.text
        if word in _RENAMED:
            return _RENAMED[word]
        if tokens[place - 1].text.lower() not in ("with", ","):
            raise QueryError(f"Field query: No such function known: {token.text}")
    if word in _RESERVED:
        raise _unparsed(query, token.place, "Expected select list item")
    return word if word == "tap_upload" else token.text


def _names(tokens: Sequence[_Token]) -> tuple[str, ...]:
    words = [(token.text.strip('"').lower(), token.kind in ("word", "quoted")) for token in tokens]
    found: dict[str, None] = {}
    for place, (word, is_name) in enumerate(words):
        if not is_name:
            continue
        if words[place + 1 : place + 2] == [(".", False)] and place + 2 < len(words) and words[place + 2][1]:
            found[f"{word}.{words[place + 2][0]}"] = None
        found[word] = None
    return tuple(found)


def _unparsed(query: str, place: int, expected: str) -> QueryError:
    line = query.count("\n", 0, place) + 1
    column = place - (query.rfind("\n", 0, place) + 1) + 1
    found = f"'{query[place]}'" if place < len(query) else "end of text"
    return QueryError(
        f"Field query: Could not parse your query: {expected}, found {found}"
        f"  (at char {place}), (line:{line}, col:{column})"
    )
