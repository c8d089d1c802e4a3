"""What stays in force of the published state, and what is taken away."""
