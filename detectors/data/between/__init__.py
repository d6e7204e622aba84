"""Between: what must hold between the splits of data: classes by their names, groups of images on one side."""
