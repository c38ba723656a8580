"""Run the networks: graphs over folded weights, computed by onnxruntime or torch."""
