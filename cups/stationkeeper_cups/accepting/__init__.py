"""New connections until their handshake begins: their order and limits."""
