"""Money is an integer of pico-dollars (10^-12 USD); outside of Python it is an exact decimal."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation

PICO = 10**12
EXACT = Context(prec=60, Emin=-60, Emax=60, traps=[InvalidOperation, Inexact])  # 1e400000 would take seconds


def usd(pico: int) -> str:
    """The exact decimal in dollars with its 12 places: `usd(107_500_000) == "0.000107500000"`."""
    sign = "-" if pico < 0 else ""
    whole, fraction = divmod(abs(pico), PICO)
    return f"{sign}{whole}.{fraction:012d}"


def short_usd(pico: int) -> str:
    """The same without trailing zeros: `short_usd(300_000_000_000) == "0.3"`, `short_usd(0) == "0"`."""
    return usd(pico).rstrip("0").rstrip(".")


def pico(amount: str | float | Decimal) -> int:
    """Dollars as pico-dollars. A float counts as the decimal it is written as, so `0.1` is a tenth.

    Raises ValueError for an amount that is not a finite number, has more than 12 places, or is out of range.
    """
    try:
        # By its text: Decimal(0.1) has 55 digits.
        scaled = Decimal(str(amount)).scaleb(12, EXACT)
    except (InvalidOperation, Inexact):
        raise ValueError(f"{amount!r} is no amount of dollars") from None
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError(f"{amount!r} is no amount of dollars with at most 12 decimal places")
    return int(scaled)
