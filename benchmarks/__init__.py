"""The figures of this project, each measured beside something real: `python -m benchmarks`."""
