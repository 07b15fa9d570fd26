"""Other people's datasets: `formats.py` is the way in and out, with one module a format behind it."""
