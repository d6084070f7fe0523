"""A set in the forms that other tools read, and the download of its images."""
