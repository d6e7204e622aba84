"""Blood cells searched at length, and whether what was found is better.

    autoloss run bccd_at_length

What is found meets the controls with new seeds on test images on which nothing it proposed was ranked.
"""

pipeline = ["search", "audit", "export", "report"]

search = dict(config="configs/search/bccd_at_length.py")
audit = dict(seeds=6)
export = dict(to=["mmdet", "torch"])
