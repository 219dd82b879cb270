"""Scan: the malware scanner beside the gateway (clamd)."""
