"""Published cells, run through the whole system and compared with what their papers say."""
