"""The client of a connection, and what the trust in force says of its certificate."""
