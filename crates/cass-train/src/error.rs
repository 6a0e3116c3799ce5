/// What can go wrong in training. Each message is a sentence by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter that the loss did not reach.
    #[error("`{0}` cannot be updated: it has no gradient")]
    NoGradient(String),
    /// Saved state of a training that lacks a tensor or has it in another shape.
    #[error("the state of the training cannot be loaded: `{0}` is missing or does not fit")]
    State(String),
    /// Two networks or batches that do not go together.
    #[error("{0}")]
    Mismatch(String),
    /// The loss became infinite or not a number; no parameter was updated with it.
    #[error("the loss is {loss} at step {step}; {}", kept(last_good))]
    NonFinite {
        /// The step, counted from 0 over the whole run.
        step: u64,
        /// `NaN`, `inf` or `-inf`.
        loss: f64,
        /// The epoch, from 0, after which the run folder's checkpoints were written.
        last_good: Option<usize>,
    },
    /// The run was asked to end where features collapse, and they have.
    #[error("the run ends after epoch {epoch}: {text}")]
    Collapsed {
        /// The epoch, from 0.
        epoch: usize,
        /// What collapsed, in plain words.
        text: String,
    },
    /// The run was asked to stop, and wrote a checkpoint.
    #[error("the run stopped after step {step} of {steps}; the same command continues from there")]
    Interrupted {
        /// Steps done.
        step: u64,
        /// Steps of the run.
        steps: u64,
    },
    /// The run folder cannot be used. Its message is a sentence by itself.
    #[error(transparent)]
    Run(#[from] cass_run::Error),
    /// The images cannot be used.
    #[error(transparent)]
    Data(#[from] cass_data::Error),
    /// A network or its weights cannot be used.
    #[error(transparent)]
    Model(#[from] cass_models::Error),
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
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
