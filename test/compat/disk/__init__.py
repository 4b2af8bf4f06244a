"""Kafka's data directories: each node opens what the other left, and finds what was there."""
