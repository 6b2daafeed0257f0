-- aud_matches__rows_present: where the survey names a neighbour, that neighbour's own row is in the warehouse.
-- severity: warn
-- inputs: int_selection__matched

SELECT
    object_id,
    twomass_key IS NOT NULL AND pts_key IS NULL AS twomass_row_missing,
    gaia_id1 IS NOT NULL AND source_id IS NULL AS gaia_row_missing,
    allwise_cntr IS NOT NULL AND cntr IS NULL AS allwise_row_missing,
    gaia_id1 IS NOT NULL AND distance_source_id IS NULL AS distance_row_missing
FROM int_selection__matched
WHERE (twomass_key IS NOT NULL AND pts_key IS NULL)
   OR (gaia_id1 IS NOT NULL AND source_id IS NULL)
   OR (allwise_cntr IS NOT NULL AND cntr IS NULL)
   OR (gaia_id1 IS NOT NULL AND distance_source_id IS NULL)
