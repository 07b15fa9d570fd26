"""Measurements, and what they share. One that imports another runs from the checkout: `python -m benchmarks.NAME`."""
