//! How it is done: cryptography, wire formats and roles, without input or output.
