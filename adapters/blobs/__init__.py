"""Sealed attachments and the log's tiles as files in folders of our own."""
