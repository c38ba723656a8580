from __future__ import annotations

import numpy as np

from codec.train.crops import CropSource, build_cache, draw_over


def test_drawing_depends_only_on_the_generator():
    crop = np.full((96, 96, 3), 100, np.uint8)
    crop.flags.writeable = False
    made = []
    for seed in range(40):
        first, again = (draw_over(crop, np.random.default_rng(seed)) for _ in range(2))
        assert first.dtype == np.uint8
        assert first.shape == crop.shape
        assert np.array_equal(first, again)
        made.append(first)
    changed = [float((one != crop).any(2).mean()) for one in made]
    # Lines leave most of a crop unchanged, noise hardly any of it; a shape may miss the crop.
    assert sum(0 < share < 0.5 for share in changed) > 15
    assert sum(share > 0.7 for share in changed) > 4
    assert sum(share == 0 for share in changed) < 10


def test_only_the_given_share_of_crops_is_drawn_over(one_picture, tmp_path):
    build_cache(one_picture, tmp_path / "cache.npy")
    plain, some, every = (
        CropSource(tmp_path / "cache.npy", seed=3, rank=0, drawn_share=share) for share in (0, 0.25, 1)
    )
    # Later crops of a batch depend on earlier draws, so only the first of each step can be compared.
    first = [
        [source.batch(step, 1, 128)[0].numpy() for step in range(120)] for source in (plain, some, every)
    ]
    differ = [[not np.array_equal(a, b) for a, b in zip(first[0], other, strict=True)] for other in first[1:]]
    assert 15 < sum(differ[0]) < 45
    assert sum(differ[1]) > 100
    assert first[1][0].shape == (3, 128, 128)
