"""Networks: encoder, pooling over slices, head. Training wing: needs PyTorch."""
