"""raydistill: probability distillation of autoregressive models, settled by measurement."""

__version__ = "0.1.0"
