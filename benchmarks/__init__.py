"""Speed and memory, side by side with the peers: see __main__.py."""
