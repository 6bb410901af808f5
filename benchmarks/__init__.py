"""Measures the service: beside release 0.5.2 (`python -m benchmarks`), and what takes long by itself."""
