"""What finished runs say: scores, comparisons, pages."""
