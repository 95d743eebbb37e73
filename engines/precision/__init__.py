"""Graphs at other precisions: an fp32 ONNX graph → bf16, fp16, int8 or fp8, written into the graph itself.

NVIDIA's Model Optimizer does the casting and quantising; ours is the policy: what stays FP32, what the ranges
are measured on, and how the result is compared with what it was made of.
"""
