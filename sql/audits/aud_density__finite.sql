-- aud_density__finite: no NaN and no infinity stands among the density scores.
-- severity: error
-- inputs: density_score

SELECT object_id, ln_density
FROM density_score
WHERE NOT isfinite(ln_density)
