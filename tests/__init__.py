"""The specification, as tests. The layout mirrors the package's."""
