from prices import discounted, total


def test_no_discount():
    assert discounted(1500, 0) == 1500


def test_ten_percent():
    assert discounted(2000, 10) == 1800


def test_half_price():
    assert discounted(500, 50) == 250


def test_total():
    assert total([1800, 250]) == 2050
