"""The contract between the operator and CUPS: the documents in the Secrets, and what is said on the internal port."""
