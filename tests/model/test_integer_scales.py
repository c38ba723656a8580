from __future__ import annotations

import torch

from codec.networks.integer_scales import lookup


def test_lookup_has_values_and_gradients_of_indexing():
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(64, generator=generator)
    index = torch.randint(0, 60, (2, 8, 5, 5), generator=generator)
    weight = torch.randn(2, 8, 5, 5, generator=generator)
    plain, quick = table.clone().requires_grad_(), table.clone().requires_grad_()
    (plain[index] * weight).sum().backward()
    out = lookup(quick, index)
    (out * weight).sum().backward()
    assert torch.equal(out, table[index])
    assert plain.grad is not None
    assert quick.grad is not None
    assert torch.allclose(plain.grad, quick.grad, atol=1e-5)
    assert not quick.grad[60:].any()
