"""Stationkeeper as one process, on a folder of manifests instead of a cluster.

The folder takes the place of the API server. The operator and CUPS are the same programs as in a cluster.
"""
