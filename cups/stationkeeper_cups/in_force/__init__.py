"""What this pod serves by: the documents and the server credentials in force."""
