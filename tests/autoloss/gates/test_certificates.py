import pytest

from autoloss.gates.certificates import certify
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.kinds.classification.certificates import asked
from primitives.kinds.classification.kind import SIGMOID
from primitives.kinds.verdict import Certificate


def of(known: KnownLoss) -> dict[str, Certificate]:
    return {one.name: one for one in certify(known.expression, GRAMMARS[known.grammar], known.alpha)}


def text(formula: str, grammar: str) -> dict[str, Certificate]:
    rules = GRAMMARS[grammar]
    return {one.name: one for one in certify(rules.parse(formula), rules)}


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_every_known_loss_has_every_certificate_and_each_says_how(known: KnownLoss) -> None:
    found = of(known)
    box = {"scale", "optimum", "monotone", "disjoint boxes", "smoothness", "known"}
    classes = {"optimum", "monotone", "convexity", "properness", "label noise", "tails", "smoothness", "known"}
    rules = GRAMMARS[known.grammar]
    reads = {f"reads {one.name}" for one in rules.formula(known.expression).reads if one.levels}
    assert found.keys() == (box if rules.slot == "loss_bbox" else classes) | reads
    for one in found.values():
        assert one.how in ("proved", "computed") or one.how.startswith("sampled on ")
        assert "nan" not in one.statement


def test_iou_and_giou_are_proved_monotone_in_every_area() -> None:
    for name in ("iou", "log_iou", "squared_iou"):
        assert of(KNOWN[name])["monotone"].how == "proved"
        assert "falls with the intersection, rises with the union" in of(KNOWN[name])["monotone"].statement
    giou = of(KNOWN["giou"])["monotone"]
    assert (giou.how, "rises with the enclosing area" in giou.statement) == ("proved", True)


def test_the_value_of_a_perfect_box_is_a_number_or_proved_for_every_area() -> None:
    assert (of(KNOWN["iou"])["optimum"].how, of(KNOWN["iou"])["optimum"].numbers) == ("computed", {"value": 0})
    assert text("exp(div(i, u))", "box_pixels")["optimum"].statement == "the loss of a perfect box of 64 px is 2.71828"
    assert of(KNOWN["cse_b_reg"])["optimum"].how == "proved"
    assert "A being the target's area" in of(KNOWN["cse_b_reg"])["optimum"].statement


def test_iou_vanishes_for_disjoint_boxes_and_giou_enlarges_them() -> None:
    """Zheng et al. 2020, arXiv 1911.08287, section 3: GIoU first enlarges the predicted box."""
    assert of(KNOWN["iou"])["disjoint boxes"].numbers == {"vanishes": 1, "enlarges": 0}
    giou, area = of(KNOWN["giou"])["disjoint boxes"].numbers, text("sub(e, i)", "box")["disjoint boxes"].numbers
    assert giou["vanishes"] == area["vanishes"] == 0
    assert giou["enlarges"] > 0.9
    assert area["enlarges"] == 0


def test_ratios_of_areas_do_not_depend_on_resolution_and_pixels_do() -> None:
    assert of(KNOWN["giou"])["scale"].how == "proved"
    mixed = text("sub(log(u), div(i, 2000))", "box_pixels")["scale"]
    assert "gradient changes between them" in mixed.statement
    assert "does not converge at 0.25 times the resolution" in mixed.statement
    ratio, area = (text(formula, "box_pixels")["scale"] for formula in ("sub(1, div(i, u))", "sub(e, i)"))
    assert "gradient does not change between them" in ratio.statement
    assert ratio.statement.startswith("converges at 0.25 times the resolution and converges at 4 times")
    assert ratio.numbers["growth"] == pytest.approx(1)
    assert area.numbers["growth"] == pytest.approx(256)


def test_cross_entropy_is_proved_convex_and_monotone_and_focal_is_not_convex() -> None:
    for name in ("cross_entropy", "binary_cross_entropy"):
        found = of(KNOWN[name])
        assert (found["convexity"].how, found["monotone"].how) == ("proved", "proved")
    assert of(KNOWN["focal"])["convexity"].numbers["share"] < 1


def test_binary_cross_entropy_goes_to_zero_at_both_ends_and_that_is_proved() -> None:
    optimum = of(KNOWN["binary_cross_entropy"])["optimum"]
    assert (optimum.how, optimum.numbers) == ("proved", {"target": 0, "other": 0})


def test_quality_focal_asks_for_the_iou_and_focal_for_certainty() -> None:
    proper = of(KNOWN["quality_focal"])["properness"]
    formula = GRAMMARS["sigmoid"].formula(KNOWN["quality_focal"].expression)
    assert "a proper estimate of the IoU" in proper.statement
    assert max(abs(p - w) for w, p in asked(SIGMOID, formula, False).items()) < 0.02
    assert "asks for probability 1 at every IoU" in of(KNOWN["focal"])["properness"].statement


def test_the_mean_absolute_error_is_symmetric_under_label_noise() -> None:
    """Ghosh et al. 2017, arXiv 1712.09482: the sum over all labels is constant."""
    found = text("neg(dot(y, softmax(x)))", "softmax")["label noise"]
    assert found.numbers["asymmetry"] < 1e-6
    assert of(KNOWN["cross_entropy"])["label noise"].numbers["asymmetry"] > 0.2


def test_kinks_and_large_gradients_show_in_smoothness() -> None:
    smooth = text("exp(neg(div(i, u)))", "box")["smoothness"].numbers
    steep = text("sub(1, exp(mul(9, log(div(i, u)))))", "box")["smoothness"].numbers
    assert smooth["largest"] < 5 < steep["largest"]


def test_what_a_loss_asks_for_at_either_end_of_what_it_reads() -> None:
    found = text("f**-0.5*(softplus(x) - x*y)", "sigmoid_wide")["reads f"]
    assert found.statement.startswith("asks for more where it is low: weight ")
    assert found.numbers["0.01"] == pytest.approx(10 * found.numbers["1"])
    assert "more where it is high" in text("(0.1 + t)*(1 - i/u)", "box_wide")["reads t"].statement
    same = text("(1 - i/u) + s*0", "box_wide")["reads s"]
    assert same.statement == "asks for the same at both ends: weight 1 at s = 0.01, 1 at s = 0.99"


def test_doubtful_pulls_are_said() -> None:
    linear = text("mul(x, sub(1, mul(2, y)))", "sigmoid")["tails"].statement
    assert "does not fall on the easiest: the loss has no lowest value" in linear
    backwards = text("neg(sub(softplus(x), mul(x, sub(1, y))))", "sigmoid")["tails"].statement
    assert "vanishes on the hardest examples" in backwards
    assert "stays on the hardest examples" in of(KNOWN["focal"])["tails"].statement
