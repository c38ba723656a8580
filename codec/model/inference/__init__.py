"""The networks as they run in the codec: graphs over folded weights, computed by torch or onnxruntime."""
