//! They agree: model and reference, one transition at a time.
