from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from codec.errors import UsageError
from codec.inference.threads import map_ordered, worker_count


def fresh_thread_count():
    """Return torch's thread count in a thread that uses torch for the first time."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.fixture(params=[1, 2, 5])
def callers_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("bad", [0, -1, 2.0, True, "2"])
def test_bad_counts_are_refused(bad):
    with pytest.raises(UsageError, match="threads"):
        worker_count(bad)


def test_counts():
    assert worker_count(3) == 3
    assert worker_count(None) >= 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_keep_their_order(threads):
    def slow_at_first(i):
        time.sleep(0.02 if i < 2 else 0)
        return i * i

    assert map_ordered(slow_at_first, range(9), threads) == [i * i for i in range(9)]
    assert map_ordered(slow_at_first, [], threads) == []


def test_workers_use_one_core_and_the_callers_setting_is_kept(callers_threads):
    assert map_ordered(lambda _: torch.get_num_threads(), range(4), 2) == [1] * 4
    assert torch.get_num_threads() == callers_threads
    assert fresh_thread_count() == callers_threads


def test_error_reaches_the_caller_and_settings_are_kept(callers_threads):
    with pytest.raises(ZeroDivisionError):
        map_ordered(lambda i: 1 // i, [1, 0], 2)
    assert torch.get_num_threads() == callers_threads
    assert fresh_thread_count() == callers_threads


def test_worker_stays_on_one_core_during_other_calls(callers_threads):
    started, go_on = threading.Event(), threading.Event()

    def wait(_):
        started.set()
        assert go_on.wait(30)
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(map_ordered, wait, [0], 1)
        assert started.wait(30)
        map_ordered(abs, [1], 1)
        go_on.set()
        assert call.result() == [1]
    assert torch.get_num_threads() == callers_threads


def test_concurrent_callers_restore_the_process(callers_threads):
    with ThreadPoolExecutor(8) as pool:
        inside = list(
            pool.map(lambda _: map_ordered(lambda _: torch.get_num_threads(), [0, 1], 2), range(40))
        )
        callers = list(pool.map(lambda _: torch.get_num_threads(), range(8)))
    assert inside == [[1, 1]] * 40
    assert callers == [callers_threads] * 8
    assert fresh_thread_count() == callers_threads
