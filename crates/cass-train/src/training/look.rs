//! After an epoch: the networks are looked at, what is seen is told, and the best are kept where they are asked for.

use super::progress::Moment;
use super::{Training, watch};
use crate::error::Result;
use crate::features::{self, ArmLook};
use crate::recipe::Keep;
use cass_ops::scope::interruptible;
use cass_run::{PretrainEvent as Event, When};

impl Training<'_> {
    /// Looks at the networks on the sample, and warns of features that have collapsed.
    pub(super) fn watch(&mut self, epoch: usize) -> Result<()> {
        let Some(now) = self.look(When::Epoch, epoch)? else {
            self.progress.unwatched = true;
            return Err(self.leave()?);
        };
        self.progress.unwatched = false;
        self.progress.collapsed = None;
        let arms = self.recipe.arms.keys();
        for (arm, (start, now)) in arms.zip(self.progress.start.clone().iter().zip(&now)) {
            if let Some(text) = watch::warning(arm, start, now) {
                self.progress.collapsed.get_or_insert_with(|| text.clone());
                let arm = arm.clone();
                self.tell.event(&Event::Collapsed { epoch, arm, text })?;
            }
            if let Some(text) = watch::worse(arm, start, now)
                && !self.progress.worse.contains(arm)
            {
                self.progress.worse.push(arm.clone());
                self.tell.event(&Event::Warning { text })?;
            }
        }
        self.keep_best(epoch, &now)
    }

    /// Keeps those networks that are the best so far, where the recipe asks for it.
    fn keep_best(&mut self, epoch: usize, looks: &[ArmLook]) -> Result<()> {
        if self.recipe.keep != Keep::Best {
            return Ok(());
        }
        for (index, look) in looks.iter().enumerate() {
            // Features that are not finite have no reading, and are kept only where there is nothing else.
            let invariance = look.views.map_or(f64::MIN, |views| views.invariance);
            let best = self.progress.best.get(index);
            if best.is_some_and(|best| best.invariance >= invariance) {
                continue;
            }
            let moment = Moment { epoch, invariance };
            let (arm, model) = self.step.arms()[index];
            let kept = model.deep_copy()?;
            self.save(&[(arm, &kept)], epoch)?;
            if best.is_some() {
                (self.progress.best[index], self.kept[index]) = (moment, kept);
            } else {
                self.progress.best.push(moment);
                self.kept.push(kept);
            }
        }
        Ok(())
    }

    /// [`look`](Self::look), of which nothing is kept where it was left in its middle.
    pub(super) fn look_through(&mut self, when: When, epoch: usize) -> Result<Vec<ArmLook>> {
        let look = self.look(when, epoch)?;
        look.ok_or_else(|| self.interrupted())
    }

    /// Looks at the networks, and tells what it saw; `None` where the run is to stop.
    fn look(&mut self, when: When, epoch: usize) -> Result<Option<Vec<ArmLook>>> {
        let (arms, loader) = match when {
            When::Before => (self.step.arms(), &self.setup.test),
            When::Start | When::Epoch => (self.step.arms(), &self.setup.sample),
            When::After => (self.final_arms(), &self.setup.test),
        };
        let stops = self.options.stop.asked();
        let classes = self.setup.has_classes;
        // What it was before is what it is at the start.
        let views = (when != When::Before).then_some(&self.setup.views);
        let looked = interruptible(stops, || features::look(&arms, loader, classes, views));
        let Some(look) = looked? else {
            return Ok(None);
        };
        for (arm, reading) in self.recipe.arms.keys().zip(&look.arms) {
            self.tell.event(&Event::Collapse {
                when,
                epoch,
                arm: arm.clone(),
                features: reading.features,
                logits: reading.logits,
                neighbours: reading.neighbours,
                views: reading.views,
            })?;
        }
        if look.arms.len() == 2 {
            let cosine = look.agreement;
            self.tell.event(&Event::Agreement {
                when,
                epoch,
                cosine,
            })?;
        }
        Ok(Some(look.arms))
    }
}
