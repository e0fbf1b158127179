"""Stages after the network: chained, late."""

from poise.inference import build_stages, chain_stages


def test_stages_take_iterators_and_may_lag():
    def two_late(results):
        held = []
        for item in results:
            held.append(item)
            if len(held) > 2:
                yield held.pop(0)
        yield from held

    numbers = iter([1, 2, 3])
    assert list(chain_stages(numbers, [two_late, two_late])) == [1, 2, 3]
    assert build_stages() == []
    (mine,) = build_stages(track=two_late)
    assert mine is two_late
