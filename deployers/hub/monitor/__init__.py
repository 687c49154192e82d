"""Whether what runs in the field still forecasts well, and whether its sensors still measure.

pairing.py      forecasts and the readings that come true of them
usual.py        what a number of hours is at its part of the day
slump.py        skill of hours
jitter.py       how much readings jump about
jump.py         one change larger than any for weeks
skill.py        errors by day; what a day says beside what was to be expected
sequential.py   a one-sided CUSUM and its thresholds for a stated false-alarm rate
sensors.py      stuck, out of range, gaps, clock
models.py       saturation, board and hub that differ, a board that is silent, a state that drifts
restarted.py    the forecast of a state that is rebuilt now
levels.py       ok, warning, alarm
drift.py        readings beside a reference, without their daily cycle
watch.py        all of it for one series
service.py      for all series of a hub: what arrives, in the order in which it arrived
told.py         what people and programs are told
"""
