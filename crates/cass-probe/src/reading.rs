//! Whether images are read so that a network can see them.

use crate::{Error, Result};
use cass_data::image::Reading;
use cass_models::Model;

/// # Errors
/// If no image can be read so, or images have other channels than the network's.
pub(crate) fn expect_reading(model: &Model, reading: &Reading) -> Result<()> {
    reading.check()?;
    let (asked, sees) = (reading.in_chans, model.options().in_chans);
    match asked == sees {
        true => Ok(()),
        false => Err(Error::Channels { asked, sees }),
    }
}
