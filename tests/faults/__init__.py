"""Real processes, real faults, and a count afterwards: nothing accepted is lost, nothing is answered twice.

engine.py    a stand-in engine that does what the prompt says: sleep, hang, raise, kill its own process
nursery.py   starts them quickly
launcher.py  manage.py with that engine, shorter leases and a movable clock; the product has no hook for any of it
system.py    queue server, worker and bot as processes on a database of their own, each to be killed or frozen
account.py   the count: rows against videos and messages at the Telegram stand-in, and files against rows
run.py       the same at full length: python -m tests.faults.run --help
"""
