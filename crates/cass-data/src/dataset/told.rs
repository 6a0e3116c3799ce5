//! What images tell by themselves when a data set is opened.

use super::Sample;
use crate::decode::Decoded;
use crate::image::{Levels, Reading};
use crate::likeness::Likeness;
use std::collections::BTreeSet;

/// What there is to say of an image by itself.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) likeness: Option<Likeness>,
    turned: bool,
    frames: bool,
    dark: bool,
    pub(super) patient: Option<String>,
}

impl Told {
    pub(super) fn look(&mut self, decoded: &Decoded, reading: &Reading) {
        // Under a quarter of the levels, where not the image's own range is spread over all.
        const FEW: u16 = 64;
        let by_byte = matches!(reading.levels, Levels::HighByte | Levels::Bits(_));
        self.turned = decoded.turned;
        self.frames = decoded.frames > 1 && !reading.chooses_of(decoded.format);
        self.dark = by_byte && decoded.range.is_some_and(|range| range < FEW);
    }

    pub(super) fn is_silent(&self) -> bool {
        !(self.turned || self.frames || self.dark || self.patient.is_some())
    }

    pub(super) fn sentences(seen: &[Self], reading: &Reading) -> Vec<String> {
        let count = |is: fn(&Self) -> bool| seen.iter().filter(|told| is(told)).count();
        let all = seen.len();
        let mut sentences = Vec::new();
        if let turned @ 1.. = count(|told| told.turned) {
            sentences.push(format!(
                "{turned} of {all} files are to be turned by their EXIF data, which is not done (--exif turns them)"
            ));
        }
        if let frames @ 1.. = count(|told| told.frames) {
            sentences.push(format!(
                "{frames} of {all} files have several pages or frames, of which one is used (--pages and --frame choose)"
            ));
        }
        if let dark @ 1.. = count(|told| told.dark) {
            sentences.push(format!(
                "{dark} of {all} images have more than 8 bits and use under a quarter of the grey levels under \
                 --levels {} (--levels bits:12, min-max or percentile:0.5,99.5 spreads them)",
                reading.levels
            ));
        }
        sentences
    }
}

/// The patients that files name, where no table or folder names them. If all are one, as after some
/// anonymisations, that is none.
pub(super) fn give_patients(samples: &mut [Sample], seen: &[Told]) -> Option<String> {
    let patients: BTreeSet<_> = seen
        .iter()
        .filter_map(|told| told.patient.as_ref())
        .collect();
    if patients.len() < 2 || samples.iter().any(|sample| sample.group.is_some()) {
        return None;
    }
    for (sample, told) in samples.iter_mut().zip(seen) {
        sample.group.clone_from(&told.patient);
    }
    let patients = patients.len();
    Some(format!(
        "{patients} patients are named by the images' files (PatientID): no split divides them"
    ))
}
