-- stg_allwise__source: AllWISE sources, one row each.
--
-- grain:  one row per cntr
-- key:    cntr
-- kind:   view
-- source: this release has no such table; the view has its columns and no rows, so that the same SQL runs

SELECT
    CAST(NULL AS BIGINT) AS cntr,            -- identifier of the source {meta.id;meta.main}
    CAST(NULL AS DOUBLE) AS w1mpro,          -- W1 magnitude, Vega [mag] {phot.mag;em.IR.3-4um}
    CAST(NULL AS DOUBLE) AS w1sigmpro,       -- its error; NULL for an upper limit [mag] {stat.error;phot.mag;em.IR.3-4um}
    CAST(NULL AS DOUBLE) AS w2mpro,          -- W2 magnitude, Vega [mag] {phot.mag;em.IR.4-8um}
    CAST(NULL AS DOUBLE) AS w2sigmpro        -- its error; NULL for an upper limit [mag] {stat.error;phot.mag;em.IR.4-8um}
WHERE FALSE
