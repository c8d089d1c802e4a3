"""Find, download or build programs of other projects: those of a control plane, and helm."""
