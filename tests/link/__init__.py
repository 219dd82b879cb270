"""Cosmic Link: the simulator, the client over a real connection, and what must never happen."""
