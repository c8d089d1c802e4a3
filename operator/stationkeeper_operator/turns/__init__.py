"""One turn through the rooms, what begins one, and the check of what turns compile."""
