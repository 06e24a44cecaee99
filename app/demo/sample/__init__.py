"""A clinic database of any size, the same for the same seed: for the tests, the demo and the measurements."""
