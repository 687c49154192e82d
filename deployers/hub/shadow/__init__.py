"""Challengers on the hub: versions that forecast in the shadow of the active one, until a test says which is better.

betting.py      how much a count of better days says, however often it is looked at
comparing.py    days of both over the same readings
challenge.py    what is kept of one challenger, and its verdict
beside.py       steps challengers behind the active model, at a bounded cost
service.py      which run, also after a restart; verdicts, and promotion
carrying.py     has boards carry a challenger, too, and ends one that a board answers otherwise with than the hub
told.py         what people and programs are told
simulation.py   how often the test errs and how long it takes: `python -m deployers.hub.shadow`
"""
