//! Delivery to OpenSearch: to a real one, and for what that cannot be made to do on demand, to a listener that answers as its
//! documentation says.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

mod answers;
mod away;
mod contract;
mod fallback;
mod once;
mod real;
mod retention;
mod site;
mod tls;
