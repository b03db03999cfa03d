"""Tasks of SWE-bench's form from a repository's own history (`qcode-evals mine`)."""
