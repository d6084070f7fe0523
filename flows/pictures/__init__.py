"""Flows of downloaded pictures: inspected, filtered, each kept once; shown, and pairs taken out again."""
