"""Peers: programs of others that do our job, measured in the same run where somebody has installed them.

Why this exists: a ratio to one's own sketch says how much the rules cost; a ratio to a program that people use says
whether that is a lot. Peers live in a folder of their own (`bench/peers.sh FOLDER`), run on loopback only, in folders
that go with the run, and are ended by their process id.

Rules: names and versions are pinned; the clients are as light as ours; what a peer does not do (sealing, syncing,
rules, a log) is said beside its figures in docs/performance.md.
"""
