//! How alike two layers see the same images: linear centred kernel alignment.

use crate::{Error, Result};

/// Linear CKA of two layers, from 0 (nothing in common) to 1 (the same but for rotation, reflection and
/// scale), over any number of batches of the same images (Kornblith et al. 2019, arXiv 1905.00414;
/// batches as Nguyen et al. 2021, arXiv 2010.15327, section 2.1).
///
/// Of every batch the unbiased estimator of HSIC is taken (Song et al. 2012, equation 5), which does
/// not grow with fewer images or more features, and its mean over batches. Being unbiased, it may be
/// slightly below 0 where layers have nothing in common.
///
/// ```
/// use cass_probe::look::{Cka, Gram};
/// let x = Gram::of(&[1.0, 0.0, 0.0, 1.0, 2.0, 1.0, 0.0, 3.0, 1.0, 1.5], 2)?;
/// let turned = Gram::of(&[0.0, 2.0, 2.0, 0.0, 2.0, 4.0, 6.0, 0.0, 3.0, 2.0], 2)?;
/// let mut cka = Cka::default();
/// cka.add(&x, &turned)?;
/// assert!((cka.value().unwrap() - 1.0).abs() < 1e-9);
/// # Ok::<(), cass_probe::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cka {
    both: f64,
    first: f64,
    second: f64,
    /// What rounding alone may leave of the two above.
    floors: [f64; 2],
}

/// Inner products of the images of a batch as one layer sees them, the diagonal left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    n: usize,
    /// Row-major (n, n), 0 on the diagonal.
    products: Vec<f64>,
    /// Sums of its rows, and of all.
    sums: Vec<f64>,
    sum: f64,
    /// What rounding may leave of its HSIC with itself.
    floor: f64,
}

/// Variation of the products, in parts of the largest, under which a layer sees all images alike.
const ALIKE: f64 = 1e-10;

impl Gram {
    /// Images a batch has to have.
    pub const LEAST: usize = 4;

    /// Layer of `outputs`, row-major (n, `dim`): all values of a layer's output for an image, in any order
    /// that is the same for all.
    ///
    /// # Errors
    /// Fewer than [`LEAST`](Self::LEAST) rows, an incomplete row or a value that is not finite.
    pub fn of(outputs: &[f32], dim: usize) -> Result<Self> {
        let n = outputs.len() / dim.max(1);
        if n * dim != outputs.len() || n < Self::LEAST {
            return Err(cass_metrics::Error::Length {
                what: "feature values",
                found: outputs.len(),
                expected: n.max(Self::LEAST) * dim,
            }
            .into());
        }
        let rows: Vec<&[f32]> = outputs.chunks_exact(dim).collect();
        let mut products = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..i {
                let product = product(rows[i], rows[j]);
                products[i * n + j] = product;
                products[j * n + i] = product;
            }
        }
        let largest = products.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        // HSIC is blind to what all products have in common, and more exact without.
        let common = products.iter().sum::<f64>() / (n * (n - 1)) as f64;
        for (place, product) in products.iter_mut().enumerate() {
            if place % (n + 1) > 0 {
                *product -= common;
            }
        }
        let sums: Vec<f64> = products
            .chunks_exact(n)
            .map(|row| row.iter().sum())
            .collect();
        let sum = sums.iter().sum::<f64>();
        if !sum.is_finite() {
            return Err(Error::NotFinite);
        }
        Ok(Self {
            n,
            products,
            sums,
            sum,
            floor: (ALIKE * largest).powi(2),
        })
    }

    /// The unbiased estimator of HSIC with another layer's.
    fn hsic(&self, other: &Self) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let n = self.n as f64;
        let trace = dot(&self.products, &other.products);
        let across = self.sum * other.sum / ((n - 1.0) * (n - 2.0));
        let rows = 2.0 * dot(&self.sums, &other.sums) / (n - 2.0);
        (trace + across - rows) / (n * (n - 3.0))
    }
}

/// In f64, in lanes that the compiler can keep in registers.
fn product(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 8;
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0f64; LANES];
    for (x, y) in a_lanes.iter().zip(b_lanes) {
        for i in 0..LANES {
            sums[i] += f64::from(x[i]) * f64::from(y[i]);
        }
    }
    let rest = a_rest.iter().zip(b_rest);
    sums.iter().sum::<f64>()
        + rest
            .map(|(&x, &y)| f64::from(x) * f64::from(y))
            .sum::<f64>()
}

impl Cka {
    /// Adds a batch, as the two layers see it.
    ///
    /// # Errors
    /// If they see different numbers of images.
    pub fn add(&mut self, first: &Gram, second: &Gram) -> Result<()> {
        if first.n != second.n {
            return Err(cass_metrics::Error::Length {
                what: "images in the second layer's batch",
                found: second.n,
                expected: first.n,
            }
            .into());
        }
        self.both += first.hsic(second);
        self.first += first.hsic(first);
        self.second += second.hsic(second);
        self.floors[0] += first.floor;
        self.floors[1] += second.floor;
        Ok(())
    }

    /// The estimate over all batches so far; `None` where a layer sees all images alike.
    pub fn value(&self) -> Option<f64> {
        let seen = self.first > self.floors[0] && self.second > self.floors[1];
        seen.then(|| self.both / (self.first * self.second).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_testing::golden_json;
    use serde_json::Value;

    fn gram(batch: &Value) -> Gram {
        let rows: Vec<Vec<f32>> = serde_json::from_value(batch.clone()).unwrap();
        Gram::of(&rows.concat(), rows[0].len()).unwrap()
    }

    #[test]
    fn equals_numpy_over_batches() {
        let golden = golden_json("cka/golden.json");
        let cases = golden.as_object().unwrap();
        assert_eq!(cases.len(), 1 + 7);
        for (name, case) in cases.iter().filter(|(name, _)| *name != "versions") {
            let mut cka = Cka::default();
            let batches = case["x"].as_array().unwrap().iter();
            for (x, y) in batches.zip(case["y"].as_array().unwrap()) {
                cka.add(&gram(x), &gram(y)).unwrap();
            }
            match case["cka"].as_f64() {
                Some(want) => {
                    let got = cka.value().unwrap();
                    assert!((got - want).abs() < 1e-9, "{name}: {got} for {want}");
                }
                None => assert_eq!(cka.value(), None, "{name}"),
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(Gram::of(&[1.0; 6], 2).is_err(), "three rows");
        assert!(Gram::of(&[1.0; 9], 2).is_err(), "half a row");
        assert!(Gram::of(&[f32::NAN; 8], 2).is_err());
        let [four, five] = [4, 5].map(|n| Gram::of(&vec![1.0; 2 * n], 2).unwrap());
        assert!(Cka::default().add(&four, &five).is_err());
        assert_eq!(Cka::default().value(), None);
    }
}
