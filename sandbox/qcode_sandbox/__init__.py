"""Where commands run: Docker containers, or the host by its own name. Knows nothing of models."""
