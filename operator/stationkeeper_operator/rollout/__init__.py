"""What is proven and seen of what is published. Pure: state without clock, network or log."""
