from datetime import date

from fees import days_late, late_fee, total_fee

DUE = date(2026, 3, 1)


def test_days_late():
    assert days_late(DUE, date(2026, 3, 4)) == 3
    assert days_late(DUE, date(2026, 2, 20)) == 0


def test_no_fee_within_the_grace_days():
    assert late_fee(DUE, date(2026, 3, 3)) == 0


def test_fee_per_day():
    assert late_fee(DUE, date(2026, 3, 11)) == 250


def test_fee_is_capped():
    assert late_fee(DUE, date(2026, 12, 1)) == 1000


def test_total():
    assert total_fee([(DUE, date(2026, 3, 11)), (DUE, date(2026, 3, 2))]) == 250
