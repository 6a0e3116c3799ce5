//! Colours that colour-blind readers can tell apart, on light pages and on dark ones.

use std::fmt::Write as _;

/// Colours of kinds without an order: Okabe and Ito's, and in place of their black, which is lost on a dark page, and
/// of their yellow, which is lost on a light one, two of Tol's. A page has the classes `c0` to `c7` for them.
pub const QUALITATIVE: [&str; 8] = [
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#aa4499", "#999933",
];

/// The colour of what is none of the kinds; a page has the class `cn` for it.
pub const NEUTRAL: &str = "#8a9199";

const CLASSES: [&str; QUALITATIVE.len()] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];

/// The page's class for the colour of a kind, counted from 0; `cn` where the colours are used up.
pub fn class(kind: usize) -> &'static str {
    CLASSES.get(kind).copied().unwrap_or("cn")
}

/// From 0 to 1, light to dark: Matplotlib's viridis the other way at every eighth.
const SEQUENTIAL: [[f64; 3]; 9] = [
    [253.0, 231.0, 37.0],
    [173.0, 220.0, 48.0],
    [94.0, 201.0, 98.0],
    [40.0, 174.0, 128.0],
    [33.0, 145.0, 140.0],
    [44.0, 114.0, 142.0],
    [59.0, 82.0, 139.0],
    [71.0, 45.0, 123.0],
    [68.0, 1.0, 84.0],
];

/// Light on dark, for what is laid over pictures: Matplotlib's inferno at every eighth, which grows lighter evenly and
/// prints in grey.
const HEAT: [[f64; 3]; 9] = [
    [0.0, 0.0, 4.0],
    [31.0, 12.0, 72.0],
    [85.0, 15.0, 109.0],
    [136.0, 34.0, 106.0],
    [186.0, 54.0, 85.0],
    [227.0, 89.0, 51.0],
    [249.0, 140.0, 10.0],
    [249.0, 201.0, 50.0],
    [252.0, 255.0, 164.0],
];

/// The colour of a share from 0 to 1 that is laid over a picture: red, green and blue, from 0 to 255. What is outside
/// counts as the nearer end.
pub fn heat(share: f64) -> [f64; 3] {
    along(&HEAT, share)
}

/// Between the two nearest colours. Not a number counts as 0.
fn along(colours: &[[f64; 3]; 9], share: f64) -> [f64; 3] {
    let share = share.max(0.0);
    let at = share.min(1.0) * (colours.len() - 1) as f64;
    let low = (at as usize).min(colours.len() - 2);
    let mix = |(a, b): (f64, f64)| a + (b - a) * (at - low as f64);
    [0, 1, 2].map(|i| mix((colours[low][i], colours[low + 1][i])))
}

/// The colour of a share from 0 to 1 and of a number written on it, both as CSS writes them. What is outside counts as
/// the nearer end.
pub fn sequential(share: f64) -> (String, &'static str) {
    let [r, g, b] = along(&SEQUENTIAL, share).map(|value| value.round() as u8);
    let ink = if share >= 0.45 { "#fff" } else { "#000" };
    (format!("#{r:02x}{g:02x}{b:02x}"), ink)
}

/// The rules of the classes `c0` to `c7` and `cn`: shapes are filled, keys of a legend too, lines are drawn. `--first`
/// is the first colour, for rules of a page's own.
pub(crate) fn rules() -> String {
    let mut rules = format!(":root {{ --first: {}; }}\n", QUALITATIVE[0]);
    let named = CLASSES.into_iter().zip(QUALITATIVE);
    for (class, colour) in named.chain([("cn", NEUTRAL)]) {
        let _ = writeln!(
            rules,
            "i.{class} {{ background: {colour}; }} rect.{class}, circle.{class} {{ fill: {colour}; }} \
             .line.{class} {{ stroke: {colour}; }}"
        );
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_go_from_light_to_dark() {
        assert_eq!(sequential(0.0), ("#fde725".to_owned(), "#000"));
        assert_eq!(sequential(1.0), ("#440154".to_owned(), "#fff"));
        assert_eq!(sequential(2.0), sequential(1.0));
        assert_eq!(sequential(f64::NAN), sequential(0.0));
        assert_eq!((heat(-1.0), heat(1.0)), (HEAT[0], HEAT[8]));
    }
}
