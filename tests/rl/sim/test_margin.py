import numpy as np
import pytest

from rl.sim.margin import SIDE, liquidation_distance, liquidation_price


def test_liquidation_prices_of_the_published_vector() -> None:
    # E = 20,000, q = 1, L = 50: W = 400. Long (400 - 20000) / (0.005 - 1), short (400 + 20000) / 1.005.
    price = liquidation_price(
        np.array([400.0, 400.0]), np.array([1.0]), np.array([20_000.0] * 2), SIDE, 0.005
    )
    assert price[0] == pytest.approx(19_698.492462, abs=1e-6)
    assert price[1] == pytest.approx(20_298.507463, abs=1e-6)


def test_distance_is_one_at_entry_zero_at_liquidation_and_negative_beyond() -> None:
    q, entry, margin = np.array([1.0]), np.array([20_000.0] * 2), np.array([400.0] * 2)
    trigger = liquidation_price(margin, q, entry, SIDE, 0.005)

    def at(mark: np.ndarray) -> np.ndarray:
        return liquidation_distance(margin, q, entry, mark, SIDE, np.array([50.0]), 0.005)

    assert at(entry) == pytest.approx([1.0, 1.0])
    assert at(trigger) == pytest.approx([0.0, 0.0], abs=1e-9)
    assert (at(trigger - SIDE * 100) < 0).all()


def test_margin_eaten_by_funding_moves_the_trigger_closer() -> None:
    q, entry = np.array([1.0]), np.array([20_000.0] * 2)
    full = liquidation_price(np.array([400.0] * 2), q, entry, SIDE, 0.005)
    eaten = liquidation_price(np.array([200.0] * 2), q, entry, SIDE, 0.005)
    assert eaten[0] > full[0]
    assert eaten[1] < full[1]
