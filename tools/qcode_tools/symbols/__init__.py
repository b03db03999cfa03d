"""Where names are defined in a repository, and which of its definitions matter most."""
