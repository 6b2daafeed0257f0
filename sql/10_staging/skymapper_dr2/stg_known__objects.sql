-- stg_known__objects: objects whose fate the user follows through the cuts, known symbiotics above all.
--
-- grain:  one row per object_id
-- key:    object_id
-- kind:   view
-- inputs: known.objects
-- source: the user's own list; a file known.objects.csv beside the archive's files
-- rule:   an object listed twice is kept once, the first name in alphabetical order

SELECT
    CAST(object_id AS BIGINT) AS object_id,                 -- survey object {meta.id;meta.main}
    CAST(trim(name) AS VARCHAR) AS name,                    -- the name astronomers use {meta.id}
    CAST(trim(object_type) AS VARCHAR) AS object_type,      -- SIMBAD object type, as Sy* {src.class}
    CAST(trim(source) AS VARCHAR) AS source                 -- where it is listed {meta.ref}
FROM known.objects
WHERE object_id IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY object_id ORDER BY name, object_type, source, _chunk_id) = 1
