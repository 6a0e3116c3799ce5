//! Short runs of two views by PyTorch.

use super::step::{Heads, Objective, SiameseStep};
use crate::error::Result;
use crate::settings::Arm;
use crate::trajectory::{Deviation, Recorded, Replay, compare, network, of_network, steps};
use cass_models::Model;
use std::path::{Path, PathBuf};

/// What a recorded run began with.
pub(crate) struct Start {
    pub(crate) network: Model,
    pub(crate) arm: Arm,
    folder: PathBuf,
}

impl Start {
    /// Reads it.
    pub(crate) fn read(
        mut arm: Arm,
        replay: &Replay,
        folder: &Path,
        recorded: &Recorded,
    ) -> Result<Self> {
        let size = recorded.get("view1.0")?.dims4()?.3;
        let lr = recorded.get("base_lr")?.to_scalar::<f64>()?;
        arm.optimizer.set_lr(lr);
        Ok(Self {
            network: network(&folder.join("net.safetensors"), size, &replay.device)?,
            arm,
            folder: folder.into(),
        })
    }

    /// The widths of a head's linear layers, inputs first.
    pub(crate) fn widths(&self, head: &str) -> Result<Vec<usize>> {
        let recorded = self.head(head)?;
        let matrices = recorded
            .tensors
            .iter()
            .filter(|(_, tensor)| tensor.rank() == 2);
        let number = |name: &str| name.split('.').nth(1).and_then(|n| n.parse::<usize>().ok());
        let mut matrices: Vec<_> = matrices.map(|(name, t)| (number(name), t.dims())).collect();
        matrices.sort();
        let first = matrices.first().map(|(_, dims)| dims[1]);
        Ok(first
            .into_iter()
            .chain(matrices.iter().map(|(_, dims)| dims[0]))
            .collect())
    }

    fn head(&self, head: &str) -> Result<Recorded> {
        let device = &self.network.options().device;
        Recorded::open(&self.folder.join(format!("{head}.safetensors")), device)
    }

    /// Gives heads their recorded values.
    pub(crate) fn load(&self, heads: Heads) -> Result<Heads> {
        for (name, head) in &heads {
            head.load(&self.head(name)?.tensors)?;
        }
        Ok(heads)
    }
}

/// Takes every recorded step and compares what there is after the last one.
pub(crate) fn follow<O: Objective>(
    recorded: &Recorded,
    mut step: SiameseStep<O>,
) -> Result<Deviation> {
    let mut found = steps(recorded, &mut step, &["view1", "view2"], |_, _| Ok(()))?;
    let online = Some(("online", step.online()));
    let target = step.objective().target().map(|target| ("target", target));
    for (who, parts) in online.into_iter().chain(target) {
        let network = of_network(recorded, who, &parts.network, true)?;
        found.tensors.extend(network);
        let kind = (format!("{who} heads"), format!("{who}."));
        let heads = compare(recorded, kind, parts.head_params(), true)?;
        found.tensors.extend(heads);
    }
    Ok(found)
}
