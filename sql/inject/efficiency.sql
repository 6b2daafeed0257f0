-- efficiency: how much flickering of each amplitude would have been found.
--
-- purpose: detection efficiency of rapid variability, from flickering put into the measurements of quiet stars
-- grain:   one row per amplitude_mag, then per amplitude and magnitude, then per amplitude and number of sequences
-- inputs:  injected (amplitude_mag, object_id, u_mag, n_sequences, rapid_u_sigma, p_scatter)
-- source:  found means what it means for candidates: rapid_u_sigma_min, or rapid_p_max where that rule is not left out;
--          interval of Wilson 1927, J. Am. Stat. Assoc. 22, 209, at 95 % (z = 1.959964), as Brown, Cai & DasGupta 2001 advise
-- nulls:   u_from_mag is NULL for all magnitudes together, n_sequences for all numbers

WITH found AS (
    SELECT
        amplitude_mag,
        floor(u_mag) AS u_from_mag,                         -- bins of one magnitude
        least(n_sequences, 3) AS n_sequences,               -- 3 is three or more
        coalesce(rapid_u_sigma >= getvariable('rapid_u_sigma_min'), FALSE)
            OR coalesce(getvariable('rapid_p_max') > 0 AND p_scatter <= getvariable('rapid_p_max'), FALSE) AS is_found
    FROM injected
),

counted AS (
    SELECT amplitude_mag, u_from_mag, n_sequences, count(*) AS n, count(*) FILTER (WHERE is_found) AS k, 1.959964e0 AS z
    FROM found
    GROUP BY GROUPING SETS ((amplitude_mag), (amplitude_mag, u_from_mag), (amplitude_mag, n_sequences))
)

SELECT
    CAST(amplitude_mag AS DOUBLE) AS amplitude_mag,         -- rms of the flickering in u [mag]
    CAST(u_from_mag AS DOUBLE) AS u_from_mag,               -- mean u from here to one magnitude fainter [mag]
    CAST(n_sequences AS INTEGER) AS n_sequences,            -- colour sequences of the star; 3 is three or more
    CAST(n AS BIGINT) AS n_injected,                        -- stars that were made to flicker
    CAST(k AS BIGINT) AS n_found,                           -- of these, stars that were found
    CAST(k / n AS DOUBLE) AS efficiency,                    -- n_found / n_injected
    CAST(least(k / n, greatest(0, (k + z * z / 2 - z * sqrt(k * (n - k) / n + z * z / 4)) / (n + z * z))) AS DOUBLE) AS efficiency_lo, -- lower end of its 95 % interval
    CAST(greatest(k / n, least(1, (k + z * z / 2 + z * sqrt(k * (n - k) / n + z * z / 4)) / (n + z * z))) AS DOUBLE) AS efficiency_hi     -- upper end of its 95 % interval
FROM counted
ORDER BY (u_from_mag IS NOT NULL) OR (n_sequences IS NOT NULL), n_sequences IS NOT NULL, amplitude_mag, u_from_mag, n_sequences
