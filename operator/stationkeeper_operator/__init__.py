"""The operator: watch resources, compile them, publish documents, prove that CUPS has them, write statuses."""
