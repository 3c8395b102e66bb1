"""Students as files for other runtimes: ONNX, torch.export and safetensors, checked, quantised and timed."""
