"""Pictures, holes, geometry, the training stream and the evaluation pairs."""
