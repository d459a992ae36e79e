"""NumPy's own threads beside the network's."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def one_thread() -> None:
    """Let BLAS compute in one thread from now on, for processes that predict.

    Its products are small there, and OpenBLAS's threads go on spinning for some 25 ms after each one (THREAD_TIMEOUT),
    on the cores that the network needs next: a ResNet-50 on 2 cores lost a quarter of its pace by that.
    """
    threadpool_limits(1, user_api="blas")
