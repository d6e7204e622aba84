"""From your data to a trained detector, on a laptop or one GPU.

    autoloss run own_data --data my_data --time 8h --dry-run

says what it would take; --size medium is for one GPU. What the sizes are stands in configs/search/own_fcos.py.
"""

pipeline = ["headroom", "search_cls", "search_both", "audit", "train", "export", "report"]

headroom = dict(config="configs/search/own_fcos.py", seeds=2)
# Most of what losses can gain on people's own data is in the class loss; where the best known one gains less than seeds
# differ by, a search is not paid for.
search_cls = dict(ref="headroom", slots=["loss_cls"], proceed_if="headroom.gain > headroom.noise")
search_both = dict(ref="headroom")
audit = dict()
train = dict(seeds=3)
export = dict(to=["mmdet", "torch"])
