"""What a release is made of: manual pages, completions, archives, and the checks on them.

``nox -s build`` runs it; nothing of it is installed, but for the files that it makes.
"""
