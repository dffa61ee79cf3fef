//! Memory for secrets: locked, kept out of dumps, wiped on drop.
