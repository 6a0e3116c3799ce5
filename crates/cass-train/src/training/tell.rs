//! Who hears what happens in a run.

use super::progress::Progress;
use crate::error::Result;
use crate::memory::{peak_gpu_mib, peak_rss_mib};
use crate::tensorboard::TensorBoard;
use candle_core::Device;
use cass_run::{Log, PretrainEvent as Event, RunDir};

/// Log, TensorBoard's file and observer hear the same of the run; of the process only the observer
/// hears.
pub(super) struct Tell<'a> {
    log: Log,
    board: TensorBoard,
    /// Whose memory is told.
    device: Device,
    /// The last one.
    step: u64,
    pub(super) observe: &'a mut dyn FnMut(&Event),
}

impl<'a> Tell<'a> {
    /// Continues where an earlier attempt's state was written, or starts anew.
    pub(super) fn open(
        run: &RunDir,
        earlier: Option<&Progress>,
        device: &Device,
        observe: &'a mut dyn FnMut(&Event),
    ) -> Result<Self> {
        let (log, board, steps) = earlier.map_or((0, 0, 0), |progress| {
            (progress.log_bytes, progress.board_bytes, progress.step)
        });
        let mut tell = Self {
            log: run.log_from(log)?,
            board: TensorBoard::open(run, board)?,
            device: device.clone(),
            step: steps.saturating_sub(1),
            observe,
        };
        if tell.board.is_damaged() {
            let text = "the file for TensorBoard was cut; it continues after what is left of it";
            tell.event(&Event::Warning { text: text.into() })?;
        }
        Ok(tell)
    }

    /// Where lines of the log are gone: warns, and writes again those of `events` that are.
    pub(super) fn rebuild_log(&mut self, events: impl Iterator<Item = Event>) -> Result<()> {
        if !self.log.is_damaged() {
            return Ok(());
        }
        let text = format!(
            "{} was cut; it continues after what is left of it, its epochs written again",
            self.log.path().display()
        );
        self.event(&Event::Warning { text })?;
        let kept: Vec<Event> = self.log.events()?;
        for event in events {
            if !kept.contains(&event) {
                self.log.write(&event)?;
            }
        }
        Ok(())
    }

    pub(super) fn event(&mut self, event: &Event) -> Result<()> {
        (self.observe)(event);
        if event.is_logged() {
            self.log.write(event)?;
        }
        if let Event::Step { step, .. } = event {
            self.step = *step;
        }
        match scalars(event, &self.device) {
            scalars if scalars.is_empty() => Ok(()),
            scalars => self.board.scalars(self.step, &scalars),
        }
    }

    /// Waits until all of it is on the disk; the lengths of log and TensorBoard's file.
    pub(super) fn sync(&self) -> Result<(u64, u64)> {
        Ok((self.log.sync()?, self.board.sync()?))
    }
}

/// What TensorBoard shows of an event.
fn scalars(event: &Event, device: &Device) -> Vec<(String, f64)> {
    let mut scalars = Vec::new();
    let mut add = |tag: String, value: f64| scalars.push((tag, value));
    match event {
        Event::Step {
            loss,
            lr,
            grad_norm,
            images_per_s,
            ..
        } => {
            add("loss".into(), *loss);
            lr.iter()
                .for_each(|(arm, lr)| add(format!("lr/{arm}"), *lr));
            for (arm, norm) in grad_norm {
                add(format!("grad_norm/{arm}"), *norm);
            }
            add("images_per_s".into(), *images_per_s);
            if let Some(mib) = peak_rss_mib() {
                add("memory/peak_rss_mib".into(), mib as f64);
            }
            if let Some(mib) = peak_gpu_mib(device) {
                add("memory/peak_gpu_mib".into(), mib as f64);
            }
        }
        Event::Epoch { loss, .. } => add("epoch/loss".into(), *loss),
        Event::Agreement {
            when,
            cosine: Some(cosine),
            ..
        } if when.is_of_sample() => add("collapse/agreement".into(), *cosine),
        Event::Collapse {
            when,
            arm,
            features,
            logits,
            neighbours,
            views,
            ..
        } if when.is_of_sample() => {
            for (what, reading) in [("features", features), ("logits", logits)] {
                if let Some(reading) = reading {
                    let tag = |name: &str| format!("collapse/{arm}/{what}/{name}");
                    add(tag("std"), reading.std);
                    add(tag("effective_rank"), reading.effective_rank);
                    add(tag("mean_cosine"), reading.mean_cosine);
                }
            }
            if let Some(share) = neighbours {
                add(format!("collapse/{arm}/neighbours"), *share);
            }
            if let Some(views) = views {
                add(format!("views/{arm}/invariance"), views.invariance);
                add(format!("views/{arm}/retrieval"), views.retrieval);
            }
        }
        _ => {}
    }
    scalars
}
