"""Measures the service, beside release 0.5.2 and other yardsticks: `python -m benchmarks`."""
