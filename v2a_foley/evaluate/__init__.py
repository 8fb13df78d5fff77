"""Judging mappers and sounds by the field's measures."""
