"""What is in deploy/, as the programs that it is for read it and run it."""
