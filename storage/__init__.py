"""Keeps every sample: journal, chunks and sealed files behind one query, and low-rate rows beside them."""
