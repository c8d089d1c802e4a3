"""What requests are decided on: the documents in force, made into one immutable snapshot."""
