"""The sources of documents and server credentials: files, a watch, and the operator."""
