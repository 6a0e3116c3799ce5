//! Axes.

/// Values to shares of a height, and where to draw lines.
pub struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Values at which lines are drawn.
    pub ticks: Vec<f64>,
}

impl Scale {
    /// A scale that takes in both: logarithmic where they span decades, else with about four round steps.
    pub fn over(low: f64, high: f64) -> Scale {
        if low > 0.0 && high / low > 20.0 {
            let decade = |value: f64, round: fn(f64) -> f64| 10f64.powf(round(value.log10()));
            let (low, high) = (decade(low, f64::floor), decade(high, f64::ceil));
            let decades = (high / low).log10().round() as i32;
            let every = (decades as usize).div_ceil(5);
            let ticks = (0..=decades)
                .step_by(every)
                .map(|d| low * 10f64.powi(d))
                .collect();
            return Scale {
                low,
                high,
                logarithmic: true,
                ticks,
            };
        }
        // 1, 2 or 5 times a power of ten; about four steps.
        let span = if high > low {
            high - low
        } else {
            high.abs().max(1e-6) * 0.1
        };
        let power = 10f64.powf((span / 4.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|times| times * power)
            .find(|step| span / step <= 4.0)
            .unwrap_or(10.0 * power);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let last = last.max(first + 1.0);
        let ticks = (0..=(last - first) as i64)
            .map(|i| (first + i as f64) * step)
            .collect();
        Scale {
            low: first * step,
            high: last * step,
            logarithmic: false,
            ticks,
        }
    }

    /// Place of a value on the scale, from 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        if self.logarithmic {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// Label of a line.
    pub fn label(&self, tick: f64) -> String {
        if self.logarithmic {
            let digits = ["⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"];
            let exponent = tick.log10().round() as i32;
            let mut text = String::from(if exponent < 0 { "10⁻" } else { "10" });
            for digit in exponent.abs().to_string().bytes() {
                text += digits[usize::from(digit - b'0')];
            }
            text
        } else {
            let step = (self.high - self.low) / (self.ticks.len() - 1) as f64;
            let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
            format!("{tick:.decimals$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_where_losses_span_them() {
        let scale = Scale::over(1.8e-5, 3.5e-2);
        assert!(scale.logarithmic);
        let labels: Vec<_> = scale.ticks.iter().map(|t| scale.label(*t)).collect();
        assert_eq!(labels, ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"]);
        assert!((scale.share(1e-3) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn round_steps_elsewhere() {
        let scale = Scale::over(10.62, 11.09);
        let labels: Vec<_> = scale.ticks.iter().map(|t| scale.label(*t)).collect();
        assert_eq!(labels, ["10.6", "10.8", "11.0", "11.2"]);
        for constant in [0.0, 11.0, -2.0] {
            let scale = Scale::over(constant, constant);
            assert!((0.0..=1.0).contains(&scale.share(constant)), "{constant}");
        }
    }
}
