//! What breaks it: fuzz targets.
