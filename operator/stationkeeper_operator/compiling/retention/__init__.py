"""What stays in force of what was published, and what is taken away."""
