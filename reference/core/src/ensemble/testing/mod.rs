//! What only tests may do: look at everything, copy what an adversary copies, switch bugs on.

mod hands;
mod leases;
mod view;
