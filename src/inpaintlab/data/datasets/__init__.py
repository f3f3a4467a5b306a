"""The data sets, each as a source of pictures for training, validation and test."""
