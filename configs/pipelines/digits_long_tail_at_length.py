"""A long tail searched at length, and whether what was found is better: 100 minutes on two cores.

    autoloss run digits_long_tail_at_length

What is found meets the controls with new seeds on test images on which nothing it proposed was ranked.
"""

pipeline = ["search", "audit", "export", "report"]

search = dict(config="configs/search/digits_long_tail_at_length.py")
audit = dict(seeds=10)
export = dict(to=["mmdet", "torch"])
