"""The model's server as attempts share it: whether it is there, and how many requests it is given at a time."""
