"""From a patch to a verdict, with evidence that the tested code cannot write."""
