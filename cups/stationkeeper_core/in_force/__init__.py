"""The state that decides requests: the documents in force, as one immutable snapshot."""
