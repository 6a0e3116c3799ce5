use serde::{Deserialize, Serialize};

/// What images of a class weigh in a fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// All images the same.
    None,
    /// Images of a rare class more, so that every class weighs the same: N / (classes × images of the class)
    /// (`class_weight="balanced"` of scikit-learn).
    Balanced,
    /// The published formula ([`cass_train::methods::class_weights`]), which gives images of the most *frequent* class
    /// the most.
    Paper,
}

impl ClassWeights {
    /// What recipes had before there was a choice.
    pub(super) fn before() -> Self {
        Self::Paper
    }

    /// `none`, `balanced` or `paper`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Balanced => "balanced",
            Self::Paper => "paper",
        }
    }

    /// The weight of an image of each class, of which there are `counts`.
    pub fn of(self, counts: &[usize]) -> Vec<f64> {
        match self {
            Self::None => vec![1.0; counts.len()],
            Self::Balanced => {
                let present = counts.iter().filter(|&&n| n > 0).count() as f64;
                let all = counts.iter().sum::<usize>() as f64;
                let of = |&n: &usize| {
                    if n == 0 {
                        1.0
                    } else {
                        all / (present * n as f64)
                    }
                };
                counts.iter().map(of).collect()
            }
            Self::Paper => cass_train::methods::class_weights(counts),
        }
    }

    /// The weights of an image that is not of a class and of one that is, where each of `images` may be of any
    /// number: every class is a question by itself, to as many images as it is known of.
    pub fn of_each(self, counts: &[usize], known: &[usize]) -> Vec<[f64; 2]> {
        match self {
            Self::Balanced => {
                let of = |(&n, &known): (&usize, &usize)| {
                    let weights = self.of(&[known - n, n]);
                    [weights[0], weights[1]]
                };
                counts.iter().zip(known).map(of).collect()
            }
            _ => self.of(counts).into_iter().map(|w| [w, w]).collect(),
        }
    }
}
