"""``sandtime doctor``: what is wrong with a set-up, and how to mend it. Nothing here disturbs what runs.

A check is a function of the :class:`~monitor.doctor.finding.Setup` that yields findings; a new one is added
to :data:`~monitor.doctor.examination.CHECKS`.
"""
