"""Read pictures, list files and folders."""
