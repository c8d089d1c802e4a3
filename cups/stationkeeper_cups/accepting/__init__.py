"""New connections: from the socket until their handshake begins, their order and their bounds."""
