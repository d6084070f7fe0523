"""The report of a set: the page, the data card, and the jobs that compute their figures."""
