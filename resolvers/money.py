"""Money: minor units and a currency, whatever the services call it. Never a float."""

from decimal import Decimal, InvalidOperation

from gateway import entity, field

EXPONENTS = {"JPY": 0, "KRW": 0, "EUR": 2, "USD": 2, "GBP": 2, "CHF": 2}
"""Digits after the point, by currency (ISO 4217)."""


@entity
class Money:
    """An amount of money."""

    amount: int = field("In minor units: cents of a euro.")
    currency: str = field("Three letters of ISO 4217.")


def minor_units(value: str, currency: str) -> int:
    """Minor units of a decimal text: ("12.99", "EUR") -> 1299.

    Raises: ValueError for a text that is no amount, or one finer than the currency's smallest coin; LookupError for a currency
    that we do not know, since guessing its exponent would be off by a hundred.
    """
    if currency not in EXPONENTS:
        raise LookupError(f"currency {currency!r} is not known")
    try:
        scaled = Decimal(value).scaleb(EXPONENTS[currency])
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is not an amount") from error
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError(f"{value!r} is not an amount of {currency}")
    return int(scaled)
