//! When a run says how far it is, where there is no bar: after its first steps, then now and then.

use cass_reproduce::duration;
use std::time::{Duration, Instant};

/// Less than this is not worth a line, in seconds.
const WORTH: f64 = 10.0;
/// A first step that takes as long is told of by itself.
const SLOW: Duration = Duration::from_secs(10);
/// Steps after the first that its rate is measured over.
const FIRST: u64 = 2;
/// From one line to the next: each time twice as long, up to the second.
const GAPS: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(300)];

/// How fast steps are taken, and when that was told last.
#[derive(Default)]
pub struct Pace {
    /// When so many steps were done: what rates count from. The first one's own time is that of warming up.
    from: Option<(u64, Instant)>,
    /// Whether a step was taken since.
    warm: bool,
    /// When the next line is due, and how long after the last that is.
    due: Option<(Instant, Duration)>,
}

impl Pace {
    /// Steps begin now, after so many that an earlier attempt took.
    pub fn begin(&mut self, done: u64, now: Instant) {
        if !self.warm {
            self.from = Some((done, now));
        }
    }

    /// So many steps are done now: the seconds that are left, where it is time to say so.
    pub fn at(&mut self, done: u64, steps: u64, now: Instant) -> Option<f64> {
        let (from, since) = *self.from.get_or_insert((done, now));
        let took = now.duration_since(since);
        let taken = done.saturating_sub(from);
        let slow = self.due.is_none() && taken > 0 && took >= SLOW;
        if !self.warm {
            self.warm = true;
            if !slow {
                self.from = Some((done, now));
                return None;
            }
        }
        if taken == 0 {
            return None;
        }
        let left = took.as_secs_f64() / taken as f64 * steps.saturating_sub(done) as f64;
        let next = match self.due {
            None if (taken >= FIRST || slow) && left >= WORTH => GAPS[0],
            Some((due, gap)) if now >= due => (2 * gap).min(GAPS[1]),
            _ => return None,
        };
        self.due = Some((now + next, next));
        Some(left)
    }
}

/// A time as people read it: `45 s`, `7 h 11 min`, `3 days 4 h`.
pub fn span(seconds: f64) -> String {
    const DAY: f64 = 86_400.0;
    if seconds < 2.0 * DAY || !seconds.is_finite() {
        return duration(seconds);
    }
    let hours = (seconds / 3600.0) as u64;
    format!("{} days {} h", hours / 24, hours % 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps of a run of `steps`, `each` milliseconds apart, at which a line is due.
    fn told(steps: u64, each: u64) -> Vec<u64> {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.begin(0, start);
        let told = (1..=steps).filter(|&done| {
            let now = start + Duration::from_millis(done * each);
            pace.at(done, steps, now).is_some()
        });
        told.collect()
    }

    #[test]
    fn a_long_run_is_told_of_after_its_first_steps_and_then_ever_more_seldom() {
        // Half a second a step: after 1.5 s, then 30, 60, 120, 240 and 300 s apart.
        assert_eq!(told(2400, 500)[..5], [3, 63, 183, 423, 903]);
    }

    #[test]
    fn a_step_of_a_quarter_of_a_minute_is_told_of_at_once() {
        assert_eq!(told(5, 15_000)[..2], [1, 3]);
    }

    #[test]
    fn a_run_of_seconds_is_not_told_of() {
        assert_eq!(told(40, 200), Vec::<u64>::new());
    }

    #[test]
    fn what_is_left_follows_from_the_steps_after_the_first() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        pace.begin(10, start);
        assert_eq!(pace.at(11, 110, at(5)), None, "warming up");
        assert_eq!(pace.at(12, 110, at(6)), None, "one step is not enough");
        assert_eq!(pace.at(13, 110, at(7)), Some(97.0));
    }

    #[test]
    fn times_are_read_as_days_where_they_are() {
        assert_eq!(span(90_000.0), "25 h 0 min");
        assert_eq!(span(3.0 * 86_400.0 + 4.5 * 3600.0), "3 days 4 h");
    }
}
