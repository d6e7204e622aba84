from primitives.kinds.box.pair import aligned_iou
from primitives.kinds.box.simulation import ASPECTS, SCALES, every, sampled


def test_the_whole_sample_is_that_of_the_paper() -> None:
    """Zheng et al. 2020, arXiv 1911.08287, section 3.2: 7 aspect ratios, 7 scales, distances to 10 times the size."""
    boxes = every()
    assert (len(ASPECTS), len(SCALES)) == (7, 7)
    assert len(boxes.place) == 7 * 7 * 7 * 21 * 4
    assert (float(boxes.distance.min()), float(boxes.distance.max())) == (0, 10)
    pred, target = boxes.xyxy(boxes.place[None])
    assert ((aligned_iou(pred, target) > 0) == boxes.overlapping).all()


def test_the_sample_of_the_gate_has_overlapping_and_disjoint_pairs_at_many_scales() -> None:
    boxes = sampled()
    pred, target = boxes.xyxy(boxes.place[None])
    iou = aligned_iou(pred, target)
    assert ((iou > 0) == boxes.overlapping).all()
    assert 0.05 < float(iou[boxes.overlapping].min()) + 0.05 < 0.3 < 0.6 < float(iou.max())
    sides = (target[:, 2:] - target[:, :2]).log2()
    assert float(sides.max() - sides.min()) > 6
    assert float(boxes.distance.max()) > 8
