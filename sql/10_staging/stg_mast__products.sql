-- stg_mast__products: the files of MAST's observations, and where in its public bucket those are that have a copy there.
--
-- grain:  one row per observation and file
-- key:    obsid, data_uri
-- kind:   view
-- inputs: mast.product
-- source: MAST, Mast.Caom.Products and its look-up of paths; which missions have copies, and how a path becomes a name in the bucket, as
--         astroquery 0.4.11 has it (mast/cloud.py, mast/utils.py)
-- nulls:  cloud_key is NULL where the mission has no copies there (Swift, IUE, FUSE and others) or MAST knows no path; a size below zero,
--         which stands for a missing one, is NULL
-- rule:   of rows with the same observation and file the first in the order below

SELECT
    CAST(asked_obsid AS BIGINT) AS obsid,                                  -- MAST's number of the observation {meta.record;obs}
    CAST(dataURI AS VARCHAR) AS data_uri,                                  -- the file's name within MAST {meta.ref.uri}
    CAST(coalesce(nullif(trim(productFilename), ''), regexp_extract(dataURI, '[^/]*$')) AS VARCHAR) AS filename, -- the file's name {meta.id;meta.file}
    CAST(upper(trim(obs_collection)) AS VARCHAR) AS obs_collection,        -- mission or collection, in capitals {meta.id;obs}
    CAST(trim(description) AS VARCHAR) AS description,                     -- what the file is {meta.note}
    CAST(upper(trim(productType)) AS VARCHAR) AS product_type,             -- SCIENCE, AUXILIARY, PREVIEW, INFO, ... {meta.code.class}
    CAST(trim(productSubGroupDescription) AS VARCHAR) AS sub_group,        -- kind of file within the mission, such as LC {meta.code.class}
    CAST(CASE WHEN size >= 0 THEN size END AS BIGINT) AS size_bytes,       -- size of the file, as MAST has it on record [byte] {phys.size;meta.file}
    CAST(CASE
        WHEN path IS NULL OR NOT regexp_matches(lower(dataURI), '^mast:(hst/product|tess/product|kepler|galex|ps1|jwst/product)') THEN NULL
        WHEN path LIKE '%galex%' THEN regexp_replace(path, '^/mast/', '')
        WHEN path LIKE '%/ps1/%' THEN replace(path, '/ps1/', 'panstarrs/ps1/public/')
        ELSE ltrim(path, '/')
    END AS VARCHAR) AS cloud_key                                           -- name within MAST's public bucket, NULL without a copy there {meta.ref.uri}
FROM mast.product
WHERE asked_obsid IS NOT NULL AND dataURI IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY asked_obsid, dataURI ORDER BY path NULLS LAST, size DESC NULLS LAST, productType, description, _chunk_id) = 1
