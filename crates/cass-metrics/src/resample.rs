//! Test images drawn anew: in units that stay together, from strata that keep their size.

use crate::Groups;
use cass_rng::Rng;
use std::collections::BTreeMap;

/// Images, in units of one patient (or one image), in strata of the same true classes.
pub(crate) struct Units {
    /// Strata of units of places of images.
    strata: Vec<Vec<Vec<usize>>>,
    grouped: bool,
}

impl Units {
    /// The images of `files`, each with its row of true classes. A unit is the images of a group, and an image of
    /// no group. Units whose true classes are theirs alone form one stratum, or nothing of them would vary.
    pub(crate) fn of<'a>(
        files: impl Iterator<Item = &'a str>,
        truth: impl Iterator<Item = &'a [bool]>,
        groups: Option<&Groups>,
    ) -> Self {
        let mut grouped = false;
        let mut units = BTreeMap::<(Option<&str>, usize), (Vec<bool>, Vec<usize>)>::new();
        for (image, (file, truth)) in files.zip(truth).enumerate() {
            let group = groups.and_then(|groups| groups.of(file));
            grouped |= group.is_some();
            let unit = (group, if group.is_some() { 0 } else { image });
            let (classes, images) = units.entry(unit).or_default();
            classes.resize(truth.len(), false);
            for (any, &t) in classes.iter_mut().zip(truth) {
                *any |= t;
            }
            images.push(image);
        }
        let mut strata = BTreeMap::<Vec<bool>, Vec<Vec<usize>>>::new();
        for (classes, images) in units.into_values() {
            strata.entry(classes).or_default().push(images);
        }
        let mut strata: Vec<_> = strata.into_values().collect();
        if grouped {
            let (mut alone, mut rest): (Vec<_>, Vec<_>) =
                strata.into_iter().partition(|units| units.len() == 1);
            rest.extend((!alone.is_empty()).then(|| alone.drain(..).flatten().collect()));
            strata = rest;
        }
        Self { strata, grouped }
    }

    /// How many units there are.
    pub(crate) fn len(&self) -> usize {
        self.strata.iter().map(Vec::len).sum()
    }

    /// What a unit is, in the plural.
    pub(crate) fn name(&self) -> &'static str {
        if self.grouped { "groups" } else { "images" }
    }

    /// As many units of each stratum, each drawn from all of it.
    pub(crate) fn draw(&self, rng: &mut Rng) -> Vec<usize> {
        self.drawn(rng, |images, _, drawn| drawn.extend(images))
    }

    /// As [`Units::draw`], and as many images of each drawn unit, each drawn from all of it.
    pub(crate) fn draw_within(&self, rng: &mut Rng) -> Vec<usize> {
        self.drawn(rng, |images, rng, drawn| {
            if let [only] = images {
                return drawn.push(*only);
            }
            drawn.extend(images.iter().map(|_| images[rng.below(images.len())]));
        })
    }

    fn drawn(
        &self,
        rng: &mut Rng,
        take: impl Fn(&[usize], &mut Rng, &mut Vec<usize>),
    ) -> Vec<usize> {
        let mut drawn = Vec::new();
        for units in &self.strata {
            for _ in units {
                let unit = &units[rng.below(units.len())];
                take(unit, rng, &mut drawn);
            }
        }
        drawn
    }

    /// For each image whether its unit `is` chosen, asked once a unit.
    pub(crate) fn chosen(&self, mut is: impl FnMut() -> bool) -> Vec<bool> {
        let units = self.strata.iter().flatten();
        let images = units.clone().map(Vec::len).sum();
        let mut chosen = vec![false; images];
        for unit in units {
            let is = is();
            unit.iter().for_each(|&image| chosen[image] = is);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rng(draw: u64) -> Rng {
        Rng::new(0, "resample", [draw, 0], 0)
    }

    #[test]
    fn patients_stay_whole_and_strata_keep_their_size() {
        let files: Vec<String> = (0..12).map(|i| format!("{i}.png")).collect();
        let groups: Groups = files
            .iter()
            .enumerate()
            .map(|(i, f)| (f.clone(), format!("p{}", i / 2)))
            .collect();
        // Patients 0 to 3 are of class 0, 4 and 5 of class 1.
        let truth: Vec<[bool; 2]> = (0..12).map(|i| [i < 8, i >= 8]).collect();
        let units = Units::of(
            files.iter().map(String::as_str),
            truth.iter().map(|t| &t[..]),
            Some(&groups),
        );
        assert_eq!((units.len(), units.name()), (6, "groups"));
        for draw in 0..20 {
            let drawn = units.draw(&mut rng(draw));
            assert_eq!(drawn.iter().filter(|&&i| i < 8).count(), 8);
            assert!(
                drawn.chunks(2).all(|pair| pair[1] == pair[0] + 1),
                "{drawn:?}"
            );
            let within = units.draw_within(&mut rng(draw));
            assert!(within.chunks(2).all(|pair| pair[1] / 2 == pair[0] / 2));
        }
        let mut turn = false;
        let chosen = units.chosen(|| {
            turn = !turn;
            turn
        });
        assert!(chosen.chunks(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn patients_of_classes_of_their_own_vary_too() {
        let groups: Groups = (0..3).map(|i| (format!("{i}"), format!("p{i}"))).collect();
        let files = ["0", "1", "2"];
        let truth = [[true, false], [false, true], [true, true]];
        let units = Units::of(
            files.into_iter(),
            truth.iter().map(|t| &t[..]),
            Some(&groups),
        );
        let draws: Vec<_> = (0..20).map(|draw| units.draw(&mut rng(draw))).collect();
        assert!(draws.iter().any(|drawn| drawn != &draws[0]));
    }
}
