-- stg_gaia__source: Gaia sources, one row each.
--
-- grain:  one row per source_id
-- key:    source_id
-- kind:   view
-- source: this release has no such table; the view has its columns and no rows, so that the same SQL runs

SELECT
    CAST(NULL AS BIGINT) AS source_id,            -- identifier of the source, 19 digits {meta.id;meta.main}
    CAST(NULL AS DOUBLE) AS parallax,             -- parallax [mas] {pos.parallax}
    CAST(NULL AS DOUBLE) AS parallax_error,       -- its error [mas] {stat.error;pos.parallax}
    CAST(NULL AS DOUBLE) AS pmra,                 -- proper motion in right ascension times cos(dec) [mas.yr**-1] {pos.pm;pos.eq.ra}
    CAST(NULL AS DOUBLE) AS pmdec                 -- proper motion in declination [mas.yr**-1] {pos.pm;pos.eq.dec}
WHERE FALSE
