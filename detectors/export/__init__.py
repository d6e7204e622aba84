"""Export: folders for mmdetection and torchvision."""
