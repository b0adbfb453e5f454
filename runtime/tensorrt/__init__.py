"""TensorRT: its Python module and its log, shared by what builds engines and what runs them."""
