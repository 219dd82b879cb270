"""The numbers for operators: counters and histograms in Prometheus' text format, on a port of their own."""
