-- aud_clip__counts: an object's clipped u detections are as many as its catalogue row says (u_nclip); not confirmed by the survey's pages.
-- severity: warn
-- scope: object
-- inputs: int_selection__matched, stg_survey__photometry, colours

WITH clipped AS (
    SELECT object_id, count(DISTINCT (image_id, ccd)) AS n_clipped
    FROM stg_survey__photometry
    WHERE filter = 'u' AND NOT used_in_clip
    GROUP BY object_id
)

SELECT m.object_id, m.u_nclip, coalesce(c.n_clipped, 0) AS n_clipped
FROM int_selection__matched AS m
SEMI JOIN colours AS k ON m.object_id = k.object_id
LEFT JOIN clipped AS c ON m.object_id = c.object_id
WHERE m.u_nclip IS NOT NULL
  AND m.u_nclip <> coalesce(c.n_clipped, 0)
