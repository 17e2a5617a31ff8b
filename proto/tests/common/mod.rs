//! What the tests share: the golden vectors, and each decoder's result as text.

// Every test binary, and the fuzz seeds, use a part of this.
#![allow(dead_code, unreachable_pub)]
// A vector that can't be read should stop the test, loudly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod result;
pub mod vector;
