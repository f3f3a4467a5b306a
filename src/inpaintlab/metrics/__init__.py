"""Picture metrics by protocol and the evaluation of a generator on fixed pairs."""
