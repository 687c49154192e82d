"""The streaming GRU: kernels, network, trainer, cell, Keras model."""
