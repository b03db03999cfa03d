import pytest

from qcode.ui.tui.meter import Meter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_after_a_pause_is_not_taken_for_the_speed() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.asked()
    for _ in range(24):
        clock.now += 0.0001
        meter.wrote()
    assert meter.writing_speed is None, "24 tokens at once say nothing yet"
    clock.now += 8
    for _ in range(24):
        clock.now += 0.0001
        meter.wrote()
    assert meter.writing_speed == pytest.approx(24 / 8, rel=0.1)


def test_the_speed_follows_the_last_seconds() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.asked()
    for pause in [0.5] * 20 + [0.01] * 500:
        clock.now += pause
        meter.wrote()
    assert meter.writing_speed == pytest.approx(100, rel=0.1)
