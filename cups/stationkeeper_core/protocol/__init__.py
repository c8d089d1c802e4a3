"""What a gateway and CUPS say to each other, and what a Basics Station makes of it."""
