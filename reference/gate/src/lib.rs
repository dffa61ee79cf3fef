//! The seal gate: no key is released after the seal returned.
