"""The cases of the benchmark, one module a subject; each has `cases(bench)`."""
