"""Stationkeeper as one process, on a folder of manifests instead of a cluster.

The folder takes the API server's place, and nothing else: the operator and CUPS are the ones of a cluster.
"""
