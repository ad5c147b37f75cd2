"""Workloads, peers and recorded figures: `make bench-NAME` runs one and writes `results/NAME.json`."""
