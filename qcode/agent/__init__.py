"""The loop and the policies that are its neighbours."""
