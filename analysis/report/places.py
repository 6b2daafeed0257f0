"""Where a star is: degrees, sexagesimal, and the addresses at which other services show that place."""

from __future__ import annotations

import math
from urllib.parse import quote


def sexagesimal(ra_deg: float, dec_deg: float) -> str:
    """Right ascension in hours to 0.01 s and declination in degrees to 0.1 arcsec: `16 38 07.84 -28 42 07.6`."""
    hundredths = round(ra_deg / 15 * 360_000) % (24 * 360_000)
    tenths = round(abs(dec_deg) * 36_000)
    sign = "−" if math.copysign(1, dec_deg) < 0 and tenths else "+"
    hours = f"{hundredths // 360_000:02d} {hundredths // 6_000 % 60:02d} {hundredths % 6_000 / 100:05.2f}"
    return f"{hours} {sign}{tenths // 36_000:02d} {tenths // 600 % 60:02d} {tenths % 600 / 10:04.1f}"


def services(ra_deg: float, dec_deg: float) -> dict[str, str]:
    """Addresses by the name of the service; positions in degrees, to 0.04 arcsec, ICRS."""
    place = quote(f"{ra_deg:.5f} {dec_deg:+.5f}")
    return {
        "SIMBAD": f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={place}&Radius=5&Radius.unit=arcsec",
        "VizieR": f"https://vizier.cds.unistra.fr/viz-bin/VizieR-4?-c={place}&-c.rs=5",
        "Aladin Lite": f"https://aladin.cds.unistra.fr/AladinLite/?target={place}&fov=0.05",
        "ESASky": f"https://sky.esa.int/esasky/?target={place}&fov=0.05&cooframe=J2000&sci=true",
    }
