//! One suite for every store, and what a medium can do to one that writes to a medium.

mod conflicts;
mod crashes;
mod damage;
mod faulty;
mod files;
mod model;
mod shortage;
mod subjects;
