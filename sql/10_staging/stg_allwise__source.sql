-- stg_allwise__source: AllWISE sources, one row each.
--
-- grain:  one row per cntr
-- key:    cntr
-- kind:   view
-- inputs: ext.allwise
-- source: AllWISE Source Catalog (Cutri et al. 2013), as the survey's archive keeps it
-- nulls:  w1sigmpro and w2sigmpro are NULL where the magnitude is an upper limit
-- rule:   a source that came twice is kept once, the first in the order below

SELECT
    CAST(cntr AS BIGINT) AS cntr,               -- identifier of the source {meta.id;meta.main}
    CAST(w1mpro AS DOUBLE) AS w1mpro,           -- W1 magnitude, Vega [mag] {phot.mag;em.IR.3-4um}
    CAST(w1sigmpro AS DOUBLE) AS w1sigmpro,     -- its error; NULL for an upper limit [mag] {stat.error;phot.mag;em.IR.3-4um}
    CAST(w2mpro AS DOUBLE) AS w2mpro,           -- W2 magnitude, Vega [mag] {phot.mag;em.IR.4-8um}
    CAST(w2sigmpro AS DOUBLE) AS w2sigmpro      -- its error; NULL for an upper limit [mag] {stat.error;phot.mag;em.IR.4-8um}
FROM ext.allwise
WHERE cntr IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY cntr
    ORDER BY w1mpro, w1sigmpro, w2mpro, w2sigmpro, _chunk_id
) = 1
