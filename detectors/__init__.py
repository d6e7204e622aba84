"""The mmdetection side: losses, heads, data, configuration, training and the evaluator."""
