import pytest

from br2net.errors import InputError
from br2net.live.alerts import parse_rule, parse_rules


@pytest.mark.parametrize(
    ("text", "quantity", "region", "operator", "threshold", "duration_s", "release"),
    [
        ("blurred > 0.6 for 2s", "blurred", None, ">", 0.6, 2.0, 0.55),
        ("blurred[left] > 0.6 for 500ms", "blurred", "left", ">", 0.6, 0.5, 0.55),
        ("blurred>=60% for 2s", "blurred", None, ">=", 0.6, 2.0, 0.55),
        ("  blurred   <  .25 for 1.5 min ", "blurred", None, "<", 0.25, 90.0, 0.3),
        ("sharpness < 40", "sharpness", None, "<", 40.0, 0.0, 44.0),
        ("sharpness[left] < 40", "sharpness", "left", "<", 40.0, 0.0, 44.0),
        ("sharpness >= 40 for 1h", "sharpness", None, ">=", 40.0, 3600.0, 36.0),
        ("blurred > 0.6 for 2s until 0.3", "blurred", None, ">", 0.6, 2.0, 0.3),
        ("blurred <= 20% until 40%", "blurred", None, "<=", 0.2, 0.0, 0.4),
        ("blurred[door left] > 0.04", "blurred", "door left", ">", 0.04, 0.0, 0.02),
    ],
)
def test_an_expression_says_what_is_compared_for_how_long_and_when_it_ends(
    text: str, quantity: str, region: str | None, operator: str, threshold: float, duration_s: float, release: float
) -> None:
    rule = parse_rule(text)
    assert (rule.quantity, rule.region, rule.operator) == (quantity, region, operator)
    assert (rule.threshold, rule.duration_s, rule.release) == pytest.approx((threshold, duration_s, release))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read"),
        ("blurred", "cannot be read"),
        ("blurred = 0.6", "cannot be read"),
        ("blurred > 0.6 for", "cannot be read"),
        ("blurred > 0.6 or sharpness < 3", "cannot be read"),
        ("blurred > -1", "cannot be read"),
        ("blurred > nan", "cannot be read"),
        ("blurred > 0.6; rm -rf", "cannot be read"),
        ("blur > 0.6", "there is blurred and sharpness"),
        ("blurred > 0.6 for 2 days", "there is ms, s, min and h"),
        ("blurred > 60", "0..1, or percent"),
        ("blurred > 1", "never go on"),
        ("blurred < 0", "never go on"),
        ("blurred >= 0", "always on"),
        ("blurred <= 100%", "always on"),
        ("blurred > 0.6 until 0.7", "swap"),
        ("blurred < 0.6 until 0.5", "swap"),
        ("blurred[] > 0.6", "no region"),
        ("sharpness > 3%", "percent"),
    ],
)
def test_a_bad_expression_is_refused_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(InputError, match="The alert") as caught:
        parse_rule(text)
    assert says in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_regions_of_expressions_have_to_exist() -> None:
    assert len(parse_rules(["blurred[left] > 0.6", "blurred > 0.6"], ["left", "right"])) == 2
    with pytest.raises(InputError, match="'middle'; the regions are: left, right"):
        parse_rules(["blurred[middle] > 0.6"], ["left", "right"])


def test_the_same_expression_twice_is_refused_whatever_its_spaces() -> None:
    with pytest.raises(InputError, match="twice"):
        parse_rules(["blurred > 0.6", "blurred  >  0.6"])
