"""The contract between the operator and CUPS: the documents in the Secrets, and the messages on the internal port."""
