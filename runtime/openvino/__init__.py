"""OpenVINO: the default on a CPU; it computes in bfloat16 where the CPU has it, and reads Q/DQ files as INT8."""
