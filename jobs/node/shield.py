"""`python -I -S shield.py COMMAND...`: blocks USR2 and TERM, then becomes COMMAND, which inherits the signal mask.

A preemption may come while Python still starts. At that time the signals' default action would end the job. This file
imports only the standard library, so that the job is unprotected for only a few milliseconds.
"""

import os
import signal
import sys

if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 (no shell is what we want)
