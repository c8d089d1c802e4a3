"""Ask the CUPS pods what they have loaded and which gateways they saw, and hand over missing documents."""
