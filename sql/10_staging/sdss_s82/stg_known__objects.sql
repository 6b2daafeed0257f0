-- stg_known__objects: objects whose fate the user follows through the cuts, known symbiotics above all.
--
-- grain:  one row per object_id
-- key:    object_id
-- kind:   view
-- source: this release has no such table; the view has its columns and no rows, so that the same SQL runs

SELECT
    CAST(NULL AS BIGINT) AS object_id,          -- survey object {meta.id;meta.main}
    CAST(NULL AS VARCHAR) AS name,              -- the name astronomers use {meta.id}
    CAST(NULL AS VARCHAR) AS object_type,       -- SIMBAD object type, as Sy* {src.class}
    CAST(NULL AS VARCHAR) AS source             -- where it is listed {meta.ref}
WHERE FALSE
