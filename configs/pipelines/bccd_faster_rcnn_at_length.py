"""Blood cells searched at length with two stages, and whether what was found is better.

    autoloss run bccd_faster_rcnn_at_length

What is found meets the controls with new seeds on test images on which nothing it proposed was ranked.
"""

pipeline = ["search", "audit", "export", "report"]

search = dict(config="configs/search/bccd_faster_rcnn_at_length.py")
audit = dict(seeds=5)
export = dict(to=["mmdet", "torch"])
