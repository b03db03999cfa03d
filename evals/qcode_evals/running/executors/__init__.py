"""Where attempts are made: in this process, or on the nodes of a Ray cluster."""
