"""The networks as the codec runs them: graphs over folded weights, by onnxruntime or torch."""
