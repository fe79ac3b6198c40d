"""The gradient share of the distillation terms."""

import torch
from torch import Tensor, nn


def gradient_share(rec: Tensor, terms: dict[str, Tensor], student: nn.Module) -> Tensor:
    """Return ‖∇(all terms except `rec`)‖ / ‖∇ rec‖ over the student's weights; 0 without other terms."""
    others = [term for name, term in terms.items() if name != "rec" and term.requires_grad]
    if not others:
        return rec.new_zeros(())
    weights = list(student.parameters())

    def norm(loss: Tensor) -> Tensor:
        grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        return torch.stack([grad.square().sum() for grad in grads if grad is not None]).sum().sqrt()

    return norm(torch.stack(others).sum()) / norm(rec)
