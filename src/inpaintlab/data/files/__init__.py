"""Read pictures, lists of names and folders."""
