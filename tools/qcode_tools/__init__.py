"""What the model may do: files, search, shell. Knows a Sandbox, not the agent."""
