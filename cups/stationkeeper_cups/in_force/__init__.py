"""The documents and the server credentials in force in this pod."""
