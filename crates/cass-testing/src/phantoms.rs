//! Data sets of synthetic images.

use cass_data::Result;
use cass_data::phantom::{PhantomConfig, PhantomStyle, write_phantom};
use std::path::Path;

/// Writes brain scans of four classes to the folder `out`, each `size` pixels wide: so many of each
/// class for training and for testing.
///
/// # Errors
/// As [`write_phantom`].
pub fn phantoms(
    out: &Path,
    seed: u64,
    [train_per_class, test_per_class]: [usize; 2],
    size: usize,
) -> Result<()> {
    let config = PhantomConfig {
        seed,
        train_per_class,
        test_per_class,
        size,
        style: PhantomStyle::Varied,
    };
    write_phantom(out, &config)
}
