"""The client of a connection, and the judgement of the trust in force on its certificate."""
