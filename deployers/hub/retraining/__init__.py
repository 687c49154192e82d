"""The hub asks for retraining: when a model has decayed, on a schedule, after so many readings, or for a person.

causes.py    what the monitor, the clock and the store give as a reason
ledger.py    what is allowed now; every decision is one transaction
answers.py   what came of a training, from what its command printed
service.py   looks for causes, and runs one request at a time as a job
"""
