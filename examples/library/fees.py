"""Late fees of a lending library, in cents."""

from datetime import date

FEE_PER_DAY = 25
GRACE_DAYS = 2
MAX_FEE = 1000


def days_late(due: date, returned: date) -> int:
    """Days after the due date, 0 if the book came back in time."""
    return max((returned - due).days, 0)


def late_fee(due: date, returned: date) -> int:
    """The fee for one book: free within the grace days, and never above MAX_FEE."""
    late = days_late(due, returned)
    if late <= GRACE_DAYS:
        return 0
    return max(late * FEE_PER_DAY, MAX_FEE)


def total_fee(loans: list[tuple[date, date]]) -> int:
    """The fee for several books."""
    return sum(late_fee(due, returned) for due, returned in loans)
