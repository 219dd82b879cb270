"""Documents: the form as a PDF that keeps, read back with care; and the child processes that do such work."""
