"""Measurements of the gateway beside references in the same run: `sambud bench path`.

Why this exists: an absolute figure from a shared machine says more about the neighbours than about the program. So each
row is measured in turns with its reference, round by round, and only the ratio is claimed (docs/performance.md).

Rules: the references do real work of the same size and durability; clients are light and run in a process of their own;
nothing of the gateway is switched off; what is measured stands in a temporary folder that goes with the run.
"""
