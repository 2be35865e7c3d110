//! Values whose source is not named yet.

use super::{Sighted, Value};

macro_rules! plain {
    ($($type:ty),*) => {
        $(impl<S> Sighted<S> for $type {
            fn parts(self) -> (Value, Option<S>) {
                (self.into(), None)
            }
        })*
    };
}
plain!(
    bool,
    i64,
    i32,
    u64,
    u32,
    u16,
    u8,
    usize,
    f64,
    &str,
    String,
    Value,
    Vec<Value>,
    Vec<String>,
    Vec<u16>,
    crate::Digest
);
