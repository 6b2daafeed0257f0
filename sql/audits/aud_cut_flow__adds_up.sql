-- aud_cut_flow__adds_up: at every step those that pass, fail and miss make up those that came in, and the next step starts with those that passed.
-- severity: error
-- inputs: cut_flow, measurement_flow

SELECT 'cut_flow' AS model, step, cut, n_in, n_pass, n_fail, n_null
FROM cut_flow
QUALIFY n_in <> n_pass + n_fail + n_null OR n_in <> lag(n_pass, 1, n_in) OVER (ORDER BY step)
UNION ALL
SELECT 'measurement_flow', step, cut, n_in, n_pass, n_fail, n_null
FROM measurement_flow
QUALIFY n_in <> n_pass + n_fail + n_null OR n_fail < 0 OR n_in <> lag(n_pass, 1, n_in) OVER (ORDER BY step)
