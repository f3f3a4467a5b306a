"""Sources of holes: drawn shapes, boxes and mask files."""
