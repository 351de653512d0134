"""The protocol under coverage-guided fuzzing: ``python -m tests.fuzz``, or ``nox -s fuzz``."""
