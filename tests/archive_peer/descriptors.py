"""DaCHS resource descriptors (RD files) written from the contracts of sql/contract, so that the two never differ."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence

from skysy.columns import Column
from skysy.contract import TableContract, load_contract

TABLES: dict[str, tuple[str, ...]] = {
    "skymapper_dr2": (
        "dr2.master",
        "dr2.photometry",
        "dr2.images",
        "ext.twomass_psc",
        "ext.allwise",
        "ext.gaia_dr2",
        "gaiadr2_complements.geometric_distance",
    ),
    "skymapper_dr4": (
        "dr4.master",
        "dr4.photometry",
        "dr4.images",
        "ext.twomass_psc",
        "ext.allwise",
        "ext.gaia_dr3",
        "gedr3dist.main",
    ),
}
"""What the peer serves of each release; the user's own list known.objects is no archive's."""

CONE_TABLES = ("dr2.photometry", "dr2.master", "dr4.photometry", "dr4.master")
"""What can be asked by cone search."""

_MASTER = (("object_id",), ("raj2000",), ("dej2000",))
_PHOTOMETRY = (("object_id",), ("image_id", "ccd", "object_id"))
_INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "dr2.master": _MASTER,
    "dr2.photometry": _PHOTOMETRY,
    "dr2.images": (("image_id",),),
    "dr4.master": _MASTER,
    "dr4.photometry": _PHOTOMETRY,
    "dr4.images": (("image_id",),),
    "ext.twomass_psc": (("pts_key",),),
    "ext.allwise": (("cntr",),),
    "ext.gaia_dr2": (("source_id",),),
    "ext.gaia_dr3": (("source_id",),),
    "gaiadr2_complements.geometric_distance": (("source_id",),),
    "gedr3dist.main": (("source_id",),),
}
_TYPES = {
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "REAL": "real",
    "DOUBLE": "double precision",
    "BOOLEAN": "boolean",
    "VARCHAR": "text",
}
# What stands for NULL where a format has no other way to say it: the least number, which no archive uses.
_NULLS = {"SMALLINT": -(2**15), "INTEGER": -(2**31), "BIGINT": -(2**63)}
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_RESERVED = {"date"}
"""Columns of the contract whose names ADQL reserves (ADQL 2.1, section 2.1.3)."""
_FIRST = ("meta.id;meta.main", "pos.eq.ra;meta.main", "pos.eq.dec;meta.main")


def served(releases: Iterable[str]) -> dict[str, TableContract]:
    """The tables of these releases by name; one that several have, as 2MASS, is described by the first of them."""
    tables: dict[str, TableContract] = {}
    for release in releases:
        contract = load_contract(release)
        for name in TABLES[release]:
            tables.setdefault(name, contract.table(name))
    return tables


def schemas(tables: Iterable[str]) -> list[str]:
    """The schemas of tables, each of which is one descriptor."""
    return list(dict.fromkeys(name.split(".")[0] for name in tables))


def descriptor(tables: Mapping[str, TableContract], schema: str) -> str:
    """The RD file of a schema: its tables, empty ones made by `dachs imp`, and cone searches over those that have them."""
    root = ET.Element("resource", schema=schema, resdir=schema)
    _meta(root, "title", f"{schema} of a simulated sky")
    _meta(root, "creationDate", "2026-01-01T00:00:00Z")
    _meta(root, "description", "A simulated sky in the archive's tables; not one value was observed.")
    _meta(root, "subject", "surveys")
    _meta(root, "creator", "skysy simulate")
    mine = [table for name, table in tables.items() if name.startswith(f"{schema}.")]
    for table in mine:
        _table(root, table)
    data = ET.SubElement(root, "data", id="create")
    for table in mine:
        ET.SubElement(data, "make", table=table.table)
    for table in mine:
        if table.name in CONE_TABLES:
            _cone(root, table)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def exact_types(table: TableContract) -> list[str]:
    """The statement, if one is needed, that makes columns exact decimals in the database where the contract has them.

    DaCHS knows no such type and sends double precision, from which the decimal comes back digit for digit; but a sum or a
    cut made in the archive is then exact, as it is in the warehouse.
    """
    exact = [column for column in table.columns if _DECIMAL.fullmatch(column.type)]
    changes = [f'ALTER COLUMN "{column.name}" TYPE {column.type.replace("DECIMAL", "numeric")}' for column in exact]
    return [f"ALTER TABLE {table.name} {', '.join(changes)}"] if changes else []


def quoted(columns: Iterable[Column]) -> str:
    """Names of columns for SQL and ADQL, all in quotes: reserved words are among them."""
    return ", ".join(f'"{column.name}"' for column in columns)


def _table(root: ET.Element, table: TableContract) -> None:
    node = ET.SubElement(root, "table", id=table.table, onDisk="True", adql="True")
    _meta(node, "description", f"{table.description}. Grain: {table.grain}.")
    if table.name in CONE_TABLES:
        ET.SubElement(node, "mixin").text = "//scs#q3cindex"
    for columns in _INDEXES[table.name]:
        name = "_".join((table.table, *columns))
        ET.SubElement(node, "index", name=name, columns=",".join(columns))
    for column in table.columns:
        node.append(_column(column))


def _column(column: Column) -> ET.Element:
    kind = "DOUBLE" if _DECIMAL.fullmatch(column.type) else column.type
    name = f"quoted/{column.name}" if column.name in _RESERVED else column.name
    told = {"name": name, "type": _TYPES[kind], "unit": column.unit, "ucd": column.ucd}
    node = ET.Element("column", {key: value for key, value in told.items() if value})
    node.set("description", column.description)
    if column.ucd in _FIRST:
        node.set("verbLevel", "1")
    if kind in _NULLS:
        ET.SubElement(node, "values", nullLiteral=str(_NULLS[kind]))
    return node


def _cone(root: ET.Element, table: TableContract) -> None:
    service = ET.SubElement(
        root, "service", id=f"{table.table}_cone", allowed="scs.xml,form", defaultRenderer="scs.xml"
    )
    _meta(service, "title", f"Cone search of {table.name}")
    _meta(service, "shortName", f"{table.table} cone"[:16])
    core = ET.SubElement(service, "scsCore", queriedTable=table.table)
    ET.SubElement(core, "FEED", source="//scs#coreDescs")
    # All of the table, and a name for each row where no column is one: Simple Cone Search wants it.
    output = ET.SubElement(core, "outputTable", autoCols="*")
    if not any(column.ucd == _FIRST[0] for column in table.columns):
        _row_name(output, table.key)


def _row_name(output: ET.Element, key: Sequence[str]) -> None:
    parts = " || '-' || ".join(f"coalesce({name}::text, '')" for name in key)
    ET.SubElement(
        output, "outputField", name="row_name", type="text", ucd=_FIRST[0], verbLevel="1", select=parts,
        description="The row's key in one word; no column of the archive",
    )  # fmt: skip


def _meta(node: ET.Element, name: str, text: str) -> None:
    ET.SubElement(node, "meta", name=name).text = text
