//! The reference as a program: services and command line.
