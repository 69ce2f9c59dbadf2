"""How well the guards tell shorts and run-aways from what healthy cells do, on drawn cells."""
