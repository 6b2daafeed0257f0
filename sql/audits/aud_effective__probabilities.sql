-- aud_effective__probabilities: probabilities of effective sigma lie from 0 to 1, its lines in their order, and no NaN stands there.
-- severity: error
-- inputs: effective_sigma

SELECT object_id, p_analytic, p_empirical, p_scatter, p_limit, sigma_955, sigma_997, scatter_mag
FROM effective_sigma
WHERE NOT (p_analytic BETWEEN 0 AND 1 AND p_empirical BETWEEN 0 AND 1 AND p_scatter BETWEEN 0 AND 1 AND p_limit BETWEEN 0 AND 1)
   OR NOT (isfinite(sigma_955) AND isfinite(sigma_997) AND isfinite(scatter_mag))
   OR sigma_997 < sigma_955
