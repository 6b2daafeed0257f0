"""Flickering as astronomers model it: a damped random walk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


def damped_walk(star: NDArray[np.integer], date_mjd: Reals, timescale_d: float, chance: np.random.Generator) -> Reals:
    """Change of each exposure in units of the star's rms, shape (n,): stationary, Gaussian, with a memory.

    `star` and `date_mjd` name the star and the time [d] of each of n exposures, in any order. Two exposures of a star
    dt apart correlate as exp(-dt / timescale_d); stars do not. An Ornstein-Uhlenbeck process: Kelly et al. 2009, ApJ 698, 895.
    """
    order = np.lexsort((date_mjd, star))
    _, first, counts = np.unique(star[order], return_index=True, return_counts=True)
    kick = chance.normal(0, 1, order.size)
    state = kick.copy()
    for rank in range(1, int(counts.max(initial=0))):
        now = first[counts > rank] + rank
        memory = np.exp(-(date_mjd[order[now]] - date_mjd[order[now - 1]]) / timescale_d)
        state[now] = memory * state[now - 1] + np.sqrt(1 - memory**2) * kick[now]
    change = np.empty(order.size)
    change[order] = state
    return change
