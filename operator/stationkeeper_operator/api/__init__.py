"""The API server: requests, credentials, paths, rates, and the Lease that says who may write."""
