-- stg_known__objects: objects whose fate is followed through the cuts, known symbiotics above all.
--
-- grain:  one row per object_id
-- key:    object_id
-- kind:   view
-- inputs: known.objects, simbad.matches
-- source: the user's own list (known.objects.csv beside the archive's files), and what SIMBAD calls a symbiotic star
-- rule:   an object listed twice is kept once: the user's own list before SIMBAD, then the first name in alphabetical order.
--         SIMBAD's types are spelled out, since Sy1 and Sy2 are Seyfert galaxies

WITH listed AS (
    SELECT object_id, trim(name) AS name, trim(object_type) AS object_type, trim(source) AS source, 1 AS place, _chunk_id
    FROM known.objects
    UNION ALL
    SELECT object_id, main_id, main_type, 'SIMBAD', 2, _chunk_id
    FROM simbad.matches
    WHERE main_type IN ('Sy*', 'Sy?', 'Symbiotic*', 'Symbiotic*_Candidate')
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,             -- survey object {meta.id;meta.main}
    CAST(name AS VARCHAR) AS name,                      -- the name astronomers use {meta.id}
    CAST(object_type AS VARCHAR) AS object_type,        -- SIMBAD object type, as Sy* {src.class}
    CAST(source AS VARCHAR) AS source                   -- where it is listed {meta.ref}
FROM listed
WHERE object_id IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY object_id ORDER BY place, name, object_type, source, _chunk_id) = 1
