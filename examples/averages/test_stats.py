from stats import mean, spread


def test_mean():
    assert mean([2.0, 4.0]) == 3.0


def test_mean_of_one_value():
    assert mean([5.0]) == 5.0


def test_mean_of_nothing():
    assert mean([]) == 0.0


def test_spread():
    assert spread([2.0, 7.0]) == 5.0
