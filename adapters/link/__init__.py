"""Cosmic Link as a neighbour: a client, a neighbour that tells where to look, and a simulator (docs/link.md)."""
