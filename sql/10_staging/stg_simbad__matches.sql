-- stg_simbad__matches: SIMBAD's nearest object to each survey object that it was asked about.
--
-- grain:  one row per object_id that was asked about
-- key:    object_id
-- kind:   view
-- inputs: simbad.matches
-- source: SIMBAD (Wenger et al. 2000), by CDS X-Match or TAP
-- nulls:  main_id is NULL where SIMBAD was asked and has nothing within the radius; an object without a row was never asked about
-- rule:   of several SIMBAD objects the nearest, then the first in the order below

SELECT
    CAST(object_id AS BIGINT) AS object_id,         -- survey object {meta.id;meta.main}
    CAST(main_id AS VARCHAR) AS main_id,            -- SIMBAD's main identifier {meta.id}
    CAST(main_type AS VARCHAR) AS main_type,        -- SIMBAD's main object type {src.class}
    CAST(ang_dist AS DOUBLE) AS ang_dist_arcsec     -- distance between the two positions [arcsec] {pos.angDistance}
FROM simbad.matches
WHERE object_id IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY object_id ORDER BY ang_dist, main_id, main_type, _chunk_id) = 1
