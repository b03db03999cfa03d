"""The harness: tasks, images, attempts, grading, reports."""
