"""The runner of the benchmarks: who runs, what they run, in which order, and the table of it."""
