"""Who makes the patches: the controls, the product, and other people's agents."""
