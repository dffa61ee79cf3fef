//! How fast: benches of the reference, in `benches/`. `cargo bench --package bailee-bench` prints them.
