"""Mutation testing: mistakes made on purpose, to see whether a test notices.

``nox -s mutants`` or ``python -m tests.mutants [--seconds N] [--module NAME]… [--seed N] [--all]``.

A mutant is the project with one small mistake: a comparison turned around, a number off by one,
an argument or a statement gone. The tests of the module run on it. If one fails, the mutant is
killed; if all pass, it survives, and either a test is missing or the mistake changes nothing that
matters. Such a survivor goes with its reason to ``equivalent.toml``.

The operators are mutmut's, taken as a library. Its runner does not fit here, nor does that of
cosmic-ray, the other kept tool:

- mutmut puts all mutants of a function into one file, with a switch in front of each call. The
  switch is slower than the pump's own work, decorated functions (properties, context managers)
  are left out, and so are the module's constants, which are the bounds that we promise.
- cosmic-ray writes each mutant into the working tree itself, and has no operator that takes
  something away: no statement, no argument.
- Neither ends at a given time, or takes a sample.
"""
