-- stg_mast__products: the files of MAST's observations, and where in its public bucket those are that have a copy there.
--
-- grain:  one row per observation and file
-- key:    obsid, data_uri
-- kind:   view
-- source: this release has no such table; the view has its columns and no rows, so that the same SQL runs

SELECT
    CAST(NULL AS BIGINT) AS obsid,            -- MAST's number of the observation {meta.record;obs}
    CAST(NULL AS VARCHAR) AS data_uri,        -- the file's name within MAST {meta.ref.uri}
    CAST(NULL AS VARCHAR) AS filename,        -- the file's name {meta.id;meta.file}
    CAST(NULL AS VARCHAR) AS obs_collection,  -- mission or collection, in capitals {meta.id;obs}
    CAST(NULL AS VARCHAR) AS description,     -- what the file is {meta.note}
    CAST(NULL AS VARCHAR) AS product_type,    -- SCIENCE, AUXILIARY, PREVIEW, INFO, ... {meta.code.class}
    CAST(NULL AS VARCHAR) AS sub_group,       -- kind of file within the mission, such as LC {meta.code.class}
    CAST(NULL AS BIGINT) AS size_bytes,       -- size of the file, as MAST has it on record [byte] {phys.size;meta.file}
    CAST(NULL AS VARCHAR) AS cloud_key        -- name within MAST's public bucket, NULL without a copy there {meta.ref.uri}
WHERE FALSE
