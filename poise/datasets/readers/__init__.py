"""Readers of data sets whose files are not COCO's."""
