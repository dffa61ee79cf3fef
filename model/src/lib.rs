//! What it means: the protocol read symbolically, and the explorer that checks it.
