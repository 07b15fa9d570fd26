"""Boxes of a Docker engine: `sandbox` makes them, `box` is one, `images` and `exported` are what they stand on.

The engine is spoken to through its SDK (`engine_api`); a box's first process (`in_box/supervisor`) and its attached
streams (`hijack`) are ours.
"""
