"""Prices in a shop, in cents."""


def discounted(price: int, percent: int) -> int:
    """The price with so many percent off."""
    return price - percent


def total(prices: list[int]) -> int:
    """What a customer pays for everything."""
    return sum(prices)
