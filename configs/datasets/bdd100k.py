"""BDD100K detection: 70,000 images to train on, 10,000 to evaluate on, 10 classes.

Expected, relative to the folder that commands run in: data/bdd100k/images/100k/{train,val}/ and
data/bdd100k/labels/det_20/det_{train,val}.json. From https://www.vis.xyz/bdd100k after signing in: "100K Images" and
"Detection 2020 Labels". Then, once:

    autoloss data convert bdd100k data/bdd100k/labels/det_20/det_train.json --out data/bdd100k/det_train_coco.json
    autoloss data convert bdd100k data/bdd100k/labels/det_20/det_val.json --out data/bdd100k/det_val_coco.json

Images that the labels do not name (some hundred) are not used.
"""

data = dict(
    type="coco",
    train=dict(annotations="data/bdd100k/det_train_coco.json", images="data/bdd100k/images/100k/train"),
    val=dict(annotations="data/bdd100k/det_val_coco.json", images="data/bdd100k/images/100k/val"),
)
