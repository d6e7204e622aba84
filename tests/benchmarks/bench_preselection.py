"""A search with and without the model that picks what is trained, at equal wall-clock, on digits with noisy labels.

`python tests/benchmarks/bench_preselection.py --minutes 10`: three search seeds each, as `bench_ladders.py` compares
two ladders; it goes on where it stopped, and its facts lie in results/preselection/. About 80 minutes on two cores.
"""

from __future__ import annotations

from bench_ladders import Comparison, Way, compare

CONFIG = "configs/search/digits_noisy.py"
PRESELECTION = Comparison(
    "preselection",
    "search",
    {"picking": Way(CONFIG, ("search.preselection.proposals=4",)), "plain": Way(CONFIG)},
)

if __name__ == "__main__":
    compare(PRESELECTION, __doc__)
