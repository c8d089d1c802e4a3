"""One intent, one command: what people do with a fleet that runs, in a cluster or on a folder."""
