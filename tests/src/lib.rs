//! Nothing: the package exists for its tests, which lie in `system/`.
