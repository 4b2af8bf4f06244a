"""The client battery: one driver program for each client, one judge for all of them."""
