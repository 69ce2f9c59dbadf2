"""Distribution of relaxation times: which processes a spectrum is made of, without a circuit."""
