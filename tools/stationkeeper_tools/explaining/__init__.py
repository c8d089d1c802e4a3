"""Why a gateway gets in at CUPS, or does not."""
