"""Standard descriptors without threads: input, output, and the log writer."""
