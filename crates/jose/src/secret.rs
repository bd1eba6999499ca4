//! A value that neither logs nor copies itself, and leaves no trace in memory when it is dropped.

use std::fmt;

use zeroize::Zeroize;

/// A secret: `Debug` prints `…`, there is no `Clone`, and the memory is overwritten on drop.
///
/// Code that needs the value says so with [`Secret::expose`], which is easy to find in a review.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes ownership of a secret value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Never log it, never put it in an error.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Whether the secret equals `other`, in constant time.
    pub fn equals(&self, other: impl AsRef<[u8]>) -> bool {
        crate::constant_time::equal(self.0.as_ref(), other)
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_does_not_contain_the_value() {
        let secret = Secret::new(String::from("hunter2"));
        assert_eq!(format!("{secret:?}"), "…");
        assert_eq!(format!("{:#?}", Some(&secret)), "Some(\n    …,\n)");
    }

    #[test]
    fn comparison_tells_equal_from_different() {
        let secret = Secret::new(String::from("hunter2"));
        assert!(secret.equals("hunter2"));
        assert!(!secret.equals("hunter3"));
        assert!(!secret.equals("hunter"));
    }

    #[test]
    fn dropping_overwrites_the_value() {
        struct Witness<'a>(&'a std::cell::Cell<bool>);
        impl Zeroize for Witness<'_> {
            fn zeroize(&mut self) {
                self.0.set(true);
            }
        }
        let overwritten = std::cell::Cell::new(false);
        drop(Secret::new(Witness(&overwritten)));
        assert!(overwritten.get());
    }
}
