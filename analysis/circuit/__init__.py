"""Equivalent circuits: read from their usual notation and fitted to spectra."""
