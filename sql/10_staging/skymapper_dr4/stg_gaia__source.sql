-- stg_gaia__source: Gaia sources, one row each.
--
-- grain:  one row per source_id
-- key:    source_id
-- kind:   view
-- inputs: ext.gaia_dr3
-- source: Gaia Data Release 3 (Gaia Collaboration 2023), as the survey's archive keeps it
-- nulls:  parallax and proper motion are NULL for two-parameter solutions
-- rule:   a source that came twice is kept once, the first in the order below

SELECT
    CAST(source_id AS BIGINT) AS source_id,                 -- identifier of the source, 19 digits {meta.id;meta.main}
    CAST(parallax AS DOUBLE) AS parallax,                   -- parallax [mas] {pos.parallax}
    CAST(parallax_error AS DOUBLE) AS parallax_error,       -- its error [mas] {stat.error;pos.parallax}
    CAST(pmra AS DOUBLE) AS pmra,                           -- proper motion in right ascension times cos(dec) [mas.yr**-1] {pos.pm;pos.eq.ra}
    CAST(pmdec AS DOUBLE) AS pmdec                          -- proper motion in declination [mas.yr**-1] {pos.pm;pos.eq.dec}
FROM ext.gaia_dr3
WHERE source_id IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY source_id
    ORDER BY parallax, parallax_error, pmra, pmdec, _chunk_id
) = 1
