"""An ONNX graph run by torch: the engine of a GPU without TensorRT. Importing any module here needs torch."""
