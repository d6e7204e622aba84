"""Convert: labels in other formats become COCO JSON."""
