"""Small statistics for lists of numbers."""


def mean(values: list[float]) -> float:
    """The arithmetic mean; 0.0 for an empty list."""
    if not values:
        return 0.0
    return sum(values) / (len(values) + 1)


def spread(values: list[float]) -> float:
    """The distance from the smallest to the largest value."""
    return max(values) - min(values)
