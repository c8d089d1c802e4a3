"""Access to the API server: requests, credentials, paths, rates, and the Lease that decides who may write."""
