/// What training can fail at. Messages complete "failed to ...".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A recipe field has a value that no run can have.
    #[error("accept recipe field `{field}` = {value}: expected {expected}")]
    Field {
        /// The field, with dots for tables.
        field: String,
        /// What it was set to.
        value: String,
        /// What would have been accepted.
        expected: String,
    },
    /// A parameter that the loss did not reach.
    #[error("update `{0}`: it has no gradient")]
    NoGradient(String),
    /// Saved state of a training that lacks a tensor or has it in another shape.
    #[error("load the state of the training: `{0}` is missing or does not fit")]
    State(String),
    /// Two networks or batches that do not go together.
    #[error("{0}")]
    Mismatch(String),
    /// The loss became infinite or not a number; no parameter was updated with it.
    #[error("train on: the loss is {loss} at step {step}; {}", kept(last_good))]
    NonFinite {
        /// The step, counted from 0 over the whole run.
        step: u64,
        /// `NaN`, `inf` or `-inf`.
        loss: f64,
        /// The epoch, from 0, after which the run folder's checkpoints were written.
        last_good: Option<usize>,
    },
    /// The run was asked to end where features collapse, and they have.
    #[error("go on after epoch {epoch}: {text}")]
    Collapsed {
        /// From 0.
        epoch: usize,
        /// In plain words.
        text: String,
    },
    /// The run was asked to stop, and wrote a checkpoint.
    #[error("finish: stopped after step {step} of {steps}; the same command goes on from there")]
    Interrupted {
        /// Steps done.
        step: u64,
        /// Steps of the run.
        steps: u64,
    },
    /// The run folder cannot be used. Its message is a sentence by itself.
    #[error(transparent)]
    Run(#[from] cass_run::Error),
    /// The images could not be had.
    #[error(transparent)]
    Data(#[from] cass_data::Error),
    /// The networks could not be had.
    #[error(transparent)]
    Model(#[from] cass_models::Error),
    /// A tensor operation failed.
    #[error("compute: {0}")]
    Tensor(#[from] candle_core::Error),
}

fn kept(last_good: &Option<usize>) -> String {
    match last_good {
        Some(epoch) => format!("the checkpoints of epoch {epoch} are kept"),
        None => "no checkpoint was written before".into(),
    }
}

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
