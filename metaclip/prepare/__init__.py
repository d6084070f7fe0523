"""Before a run: the jobs of a configuration, whether there is anything to do, and checks of the machine."""
