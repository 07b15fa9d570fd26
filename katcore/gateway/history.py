"""How earlier turns go on that the chat template would write differently now: a word that options and gateway share."""

from typing import Literal

History = Literal["sampled", "template"]
"""Kept as sampled, or rendered anew as the template has them."""
