"""How numeric code is compiled, and bytes read many at a time."""
