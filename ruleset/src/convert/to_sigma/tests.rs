//! Conversions of whole sets.
