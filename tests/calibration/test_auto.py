"""Which layers `--auto` keeps, on noise that is made up."""

from collections.abc import Iterable

from br2net.calibration.sensitivity import Drift, Group, Nodes, Sensitivity, keep_least


def item(name: str, sqnr_db: float, macs: int, stays: bool = False) -> Sensitivity:
    drift = Drift(0.0, sqnr_db)
    return Sensitivity(Group(name, "dense", (name,), macs), stays, drift, drift, drift)


LAYERS = [item("a", 40.0, 100), item("b", 10.0, 100), item("c", 30.0, 100), item("d", 12.0, 1000), item("e", 50.0, 1)]


def keep(wanted: Iterable[str], layers: list[Sensitivity] = LAYERS) -> Nodes | None:
    return keep_least(layers, {"gate"}, lambda kept: set(wanted) <= kept)


def test_nothing_is_kept_where_the_gate_holds_already() -> None:
    assert keep([]) == {"gate"}


def test_what_does_not_matter_is_given_back() -> None:
    assert keep(["b", "c"]) == {"gate", "b", "c"}
    assert keep(["d"]) == {"gate", "d"}


def test_there_is_no_answer_where_keeping_all_but_one_is_not_enough() -> None:
    assert keep(["a", "b", "c", "d", "e"]) is None
    assert keep(["x"]) is None


def test_a_layer_that_stays_float32_anyway_is_no_choice() -> None:
    assert keep(["b"], [*LAYERS, item("gate", 1.0, 1, stays=True)]) == {"gate", "b"}


def test_one_layer_alone_cannot_be_kept() -> None:
    assert keep(["a"], LAYERS[:1]) is None
