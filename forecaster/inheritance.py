"""Weights that a child takes over from a parent of the same form and units, whatever features each of them reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecaster.gru.network import views

if TYPE_CHECKING:
    from forecaster.arrays import Floats
    from forecaster.genome import Candidate
    from forecaster.gru.architecture import Architecture


def inherited(parent: Candidate, weights: Floats, child: Candidate, horizon: int) -> Floats | None:
    """The child's weights, with which it answers as its parent does as long as what only the parent reads is zero.

    Rows of the first kernel follow their feature. Those of a feature that is new are zero, but their gradient is not,
    so they grow (function-preserving widening, Chen et al. 2016, of the input).

    Args:
        parent, child: features and network of each.
        weights: the parent's, flat.
        horizon: values that both forecast.

    Returns:
        The child's weights, flat; None where form or units differ.
    """
    if (parent.form, parent.units) != (child.form, child.units):
        return None
    before, after = parent.architecture(horizon), child.architecture(horizon)
    flat = np.zeros(after.parameters, np.float32)
    old, new = views(before, weights), views(after, flat)
    first = "conv.kernel" if after.channels else "gru0.kernel"
    for name, part in new.items():
        if name != first:
            part[:] = old[name]
    source, target = _by_input(old[first], before), _by_input(new[first], after)
    for place, feature in enumerate(child.features):
        if feature in parent.features:
            target[:, place] = source[:, parent.features.index(feature)]
    return flat


def _by_input(kernel: Floats, architecture: Architecture) -> Floats:
    """A first layer's kernel as `(steps, inputs, columns)`: a convolution sees several steps, oldest first."""
    return kernel.reshape(-1, architecture.inputs, kernel.shape[-1])
