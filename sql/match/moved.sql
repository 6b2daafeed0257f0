-- moved: where a star with proper motion is some Julian years later (or, with years below zero, earlier).
--
-- grain:  macros of one row: moved_ra and moved_dec(ra_deg, dec_deg, pmra, pmdec, years) [deg]
--         pmra (times cos(dec)) and pmdec in mas/yr; years = common epoch - epoch of the position
-- source: the Hipparcos and Tycho catalogues, ESA SP-1200 (1997), vol. 1, section 1.5.5 (rigorous treatment), without radial
--         velocity: a straight line in space, from the unit vector along the motion in its tangent plane. It holds at the poles too
-- nulls:  a position without proper motion or years, and one that is no position, stays as it is
-- rule:   declination by atan2: asin would lose milliarcseconds beside the poles

CREATE OR REPLACE TEMP MACRO moves(ra_deg, dec_deg, pmra, pmdec, years) AS
    isfinite(ra_deg + pmra + pmdec + years) AND abs(dec_deg) <= 90 AND years <> 0;

-- The point that is reached, in units of the distance to the star: x to RA 0, y to RA 90 degrees, z to the north pole.
CREATE OR REPLACE TEMP MACRO moved_x(ra_deg, dec_deg, pmra, pmdec, years) AS
    cos(radians(dec_deg)) * cos(radians(ra_deg))
    - radians(pmra / 3600e3) * years * sin(radians(ra_deg))
    - radians(pmdec / 3600e3) * years * sin(radians(dec_deg)) * cos(radians(ra_deg));

CREATE OR REPLACE TEMP MACRO moved_y(ra_deg, dec_deg, pmra, pmdec, years) AS
    cos(radians(dec_deg)) * sin(radians(ra_deg))
    + radians(pmra / 3600e3) * years * cos(radians(ra_deg))
    - radians(pmdec / 3600e3) * years * sin(radians(dec_deg)) * sin(radians(ra_deg));

CREATE OR REPLACE TEMP MACRO moved_z(ra_deg, dec_deg, pmra, pmdec, years) AS
    sin(radians(dec_deg)) + radians(pmdec / 3600e3) * years * cos(radians(dec_deg));

CREATE OR REPLACE TEMP MACRO moved_ra(ra_deg, dec_deg, pmra, pmdec, years) AS
    CASE
        WHEN moves(ra_deg, dec_deg, pmra, pmdec, years)
            THEN degrees(atan2(moved_y(ra_deg, dec_deg, pmra, pmdec, years), moved_x(ra_deg, dec_deg, pmra, pmdec, years)))
        ELSE ra_deg
    END;

CREATE OR REPLACE TEMP MACRO moved_dec(ra_deg, dec_deg, pmra, pmdec, years) AS
    CASE
        WHEN moves(ra_deg, dec_deg, pmra, pmdec, years)
            THEN degrees(atan2(
                moved_z(ra_deg, dec_deg, pmra, pmdec, years),
                sqrt(moved_x(ra_deg, dec_deg, pmra, pmdec, years) ** 2 + moved_y(ra_deg, dec_deg, pmra, pmdec, years) ** 2)
            ))
        ELSE dec_deg
    END;
