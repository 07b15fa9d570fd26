"""Numbers in answers, compared as what they are: integers exactly, others within a tolerance, none without end.

In: text, or numbers as JSON has them. Out: a number, or whether two are the same. Nothing is rounded on the way: a text
of 400 digits is a number of 400 digits.
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation

REL = 1e-6
"""The relative tolerance where a rule asks for none and the wanted number is no integer."""

_NUMBER = re.compile(r"([-+]?)(\d[\d,]*|(?=\.\d))((?:\.\d+)?(?:[eE][-+]?\d+)?)")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}")
_TOKEN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_BOXED = re.compile(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_PLENTY = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])

Number = int | float | Decimal


def number_of(text: str) -> Decimal | None:
    """The number that a text ends on: in the last `\\boxed{}`, else the last one; `1,234` is one number, `1,2` two."""
    text = _UNSEEN.sub("", text).replace("\u2212", "-")
    boxed = _BOXED.findall(text)
    found = _NUMBER.findall(boxed[-1] if boxed else text)
    if not found:
        return None
    sign, digits, rest = found[-1]
    digits = digits.rstrip(",") if not rest else digits
    if "," in digits and not _GROUPED.fullmatch(digits):
        sign, digits = "", digits.rpartition(",")[2]
    return _decimal(f"{sign}{digits.replace(',', '')}{rest}")


def token_number(token: str) -> Decimal | None:
    """A token that is a number as programs print them; `inf` and `nan` are none."""
    return _decimal(token) if _TOKEN.fullmatch(token) else None


def same(found: Number, wanted: Number, rel: float, abs: float) -> bool:
    """Whether |found − wanted| ≤ max(rel · |wanted|, abs), both finite."""
    one, other = _exact(found), _exact(wanted)
    if one is None or other is None:
        return False
    if one == other or not (rel or abs):
        return one == other
    apart = _PLENTY.abs(_PLENTY.subtract(one, other))
    within = _PLENTY.multiply(Decimal(repr(rel)), _PLENTY.abs(other))
    return apart.is_finite() and apart <= max(within, Decimal(repr(abs)))


def is_integer(number: Number) -> bool:
    """Whether a finite number has no fraction, however it is written."""
    exact = _exact(number)
    return exact is not None and exact == exact.to_integral_value()


def _exact(number: Number) -> Decimal | None:
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    return exact if exact.is_finite() else None


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        return None
