-- aud_sample__agrees_with_cut_flow: sample is exactly what passes every cut of the selection.
-- severity: error
-- inputs: sample, cut_flow

SELECT f.cut, f.n_pass, s.n AS n_sample
FROM cut_flow AS f
CROSS JOIN (SELECT count(*) AS n FROM sample) AS s
WHERE f.cut = 'luminous_mj' AND f.n_pass <> s.n
