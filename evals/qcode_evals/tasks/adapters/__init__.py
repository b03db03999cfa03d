"""Other forms of tasks as rows: published data sets, names on Hugging Face, checkouts of benchmarks."""
