"""Settings for all tests: what a property test finds does not depend on how busy the machine is."""

from hypothesis import settings

settings.register_profile("stationkeeper", deadline=None, print_blob=True)
settings.load_profile("stationkeeper")
