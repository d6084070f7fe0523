"""Before a run: the jobs of a configuration, whether there is anything to do, what the machine lacks."""
