from gateway_agent.outputs.batch_size import BatchSize


def test_invalid_batch_is_halved_down_to_one_and_grows_again() -> None:
    size = BatchSize(8)
    sizes = []
    while size.size > 1:
        size.invalid(size.size)
        sizes.append(size.size)
    assert sizes == [4, 2, 1]
    for _ in range(5):
        size.delivered()
    assert size.size == 8


def test_size_that_was_too_large_is_not_tried_again_at_once() -> None:
    size = BatchSize(8)
    size.too_large(8)
    for _ in range(50):
        size.delivered()
    assert size.size == 4
    for _ in range(51):
        size.delivered()
    assert size.size == 8


def test_short_batch_is_halved_by_what_was_sent() -> None:
    size = BatchSize(500)
    size.invalid(3)
    assert size.size == 1
