//! How fast: criterion's benches of the reference in `benches/`, and two programs that measure the whole path.
//! `peers` runs this project and other backup programs over the same seeded trees; `bench_folder` runs it over a
//! folder of the user's. README.md beside this crate tells how to run and read them.

pub mod baseline;
pub mod chart;
pub mod corpus;
mod dice;
pub mod folder;
pub mod measure;
pub mod memory;
pub mod program;
pub mod report;
pub mod rounds;
pub mod scaling;
pub mod stages;
pub mod tools;
