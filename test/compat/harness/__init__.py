"""The ground under every battery: what is installed, how a node runs, what a result is."""
