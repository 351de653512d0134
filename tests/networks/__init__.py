"""The server among the programs that it is put beside in real networks, each as it is installed."""
