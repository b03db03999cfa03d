"""What answers requests: the in-process engine, any OpenAI-compatible server, and the scripted model."""
