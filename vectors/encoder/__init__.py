"""An encoder for AIRE test vectors that shares no code with the workspace's crates."""
