"""Sources of holes: drawn, boxes, or files of masks."""
