"""A trained model outside this library: ONNX for onnxruntime, and torch's own program."""
