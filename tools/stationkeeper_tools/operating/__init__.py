"""The actions on a running fleet, in a cluster or on a folder: one command for each task."""
