"""Where attempts work: images made from the rows, and boxes of them."""
