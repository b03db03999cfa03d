"""Other coding agents in the same boxes: any command-line program, with the same model and limits."""
