"""The first search at length, and whether what it found is better: digits with wrong labels, 85 minutes on two cores.

    autoloss run digits_noisy_at_length

What is found meets the controls with new seeds on test images on which nothing it proposed was ranked.
"""

pipeline = ["search", "audit", "export", "report"]

search = dict(config="configs/search/digits_noisy_at_length.py")
audit = dict(seeds=8)
export = dict(to=["mmdet", "torch"])
