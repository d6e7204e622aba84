"""Example detections: made by a training each of two losses, kept beside the run, shown side by side."""
