//! Snapshots of whole control planes.
