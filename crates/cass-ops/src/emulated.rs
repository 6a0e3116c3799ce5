//! Whether this thread computes on the emulated GPU, which tests alone can ask for.

#[cfg(any(test, feature = "emulator"))]
pub(crate) use on::{emulated, note_composed, take_composed};

/// Whether it does.
pub(crate) fn is_emulated() -> bool {
    #[cfg(any(test, feature = "emulator"))]
    return on::is_emulated();
    #[cfg(not(any(test, feature = "emulator")))]
    false
}

#[cfg(any(test, feature = "emulator"))]
mod on {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeSet;

    thread_local! {
        static ON: Cell<bool> = const { Cell::new(false) };
        static COMPOSED: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
    }

    /// Runs `f` as if the tensors of the CPU were on a GPU.
    pub(crate) fn emulated<R>(f: impl FnOnce() -> R) -> R {
        /// Restores the state before, after a panic too.
        struct Before(bool);
        impl Drop for Before {
            fn drop(&mut self) {
                ON.set(self.0);
            }
        }
        let _before = Before(ON.replace(true));
        f()
    }

    pub(crate) fn is_emulated() -> bool {
        ON.get()
    }

    /// Notes that an operation has no kernels of its own on a GPU.
    pub(crate) fn note_composed(name: &'static str) {
        if is_emulated() {
            COMPOSED.with_borrow_mut(|names| names.insert(name));
        }
    }

    /// The operations that were noted since the last call.
    pub(crate) fn take_composed() -> BTreeSet<&'static str> {
        COMPOSED.take()
    }
}
