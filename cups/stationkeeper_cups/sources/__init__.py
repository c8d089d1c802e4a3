"""Where documents and server credentials come from: files, a watch, and the operator."""
