"""Protocols from and for other programs: text and dictionaries in, text and dictionaries out.

:mod:`protocols.exchange.unicycler_reader` reads aurora-unicycler's JSON; :mod:`protocols.exchange.conversion`
writes a program for aurora-unicycler, PyBaMM and BattINFO. What another format has no word for is refused and
named (:mod:`protocols.exchange.losses`).
"""
